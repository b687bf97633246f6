"""Routes of the node catalogue."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.catalogue.schemas import node_json
from app.catalogue.service import CatalogueService
from app.http.auth import PrincipalDep
from app.http.dependencies import Injected
from app.http.pagination import Cursor, EmptyAsAbsent, PageSize, list_response
from app.http.routing import SecuredRoute
from processing_context.wire.base import Text
from processing_context.wire.nodes import NodeList

router = APIRouter(prefix="/v1/nodes", route_class=SecuredRoute, tags=["nodes"])

Catalogue = Annotated[CatalogueService, Injected(CatalogueService)]
OptionalText = Annotated[Text | None, EmptyAsAbsent, Query()]


@router.get("", response_model=NodeList)
async def list_nodes(
    catalogue: Catalogue,
    principal: PrincipalDep,
    namespace: OptionalText = None,
    q: OptionalText = None,
    page_size: PageSize = None,
    cursor: Cursor = None,
) -> Response:
    """List the node types that workers which can run the caller's jobs have registered.

    They are ordered by `type`. `namespace`: only types in or below it. `q`: only types with this
    text in their type, title or description.
    """
    found, following = await catalogue.page(
        principal.user_id, namespace=namespace, q=q, cursor=cursor, page_size=page_size or 100
    )
    return list_response("nodes", found, following, fields=node_json, key=lambda row: row.type)
