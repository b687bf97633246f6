"""Routes that import a file from a URL and export assets as a zip."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from app.assets.archive import ArchiveService
from app.assets.responses import created_response
from app.assets.url_import import ImportService
from app.http import content_headers
from app.http.auth import PrincipalDep
from app.http.dependencies import Injected
from app.http.idempotency.dependencies import IdempotencyKeyDep
from app.http.routing import SecuredRoute
from processing_context.wire.assets import ArchiveCreate, Asset, AssetImport

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["assets"])

_ZIP: dict[int | str, dict[str, Any]] = {
    200: {"description": "The zip.", "content": {"application/zip": {}}}
}


@router.post("/assets/import", status_code=201, response_model=Asset)
async def import_asset(
    request: Request,
    imports: Annotated[ImportService, Injected(ImportService)],
    principal: PrincipalDep,
    key: IdempotencyKeyDep,
    body: AssetImport,
) -> Response:
    """Download a public http(s) URL into a new asset."""
    asset, is_replay = await imports.create(principal, body, key)
    return created_response(request, asset, is_replay=is_replay)


@router.post("/assets/archive", response_class=Response, responses=_ZIP)
async def archive_assets(
    archives: Annotated[ArchiveService, Injected(ArchiveService)],
    principal: PrincipalDep,
    body: ArchiveCreate,
) -> Response:
    """Return assets as a zip; folders include everything below them."""
    archive = await archives.open(principal.user_id, body.asset_ids)
    headers = {"Content-Disposition": content_headers.disposition("attachment", "assets.zip")}
    return StreamingResponse(archive.chunks(), media_type="application/zip", headers=headers)
