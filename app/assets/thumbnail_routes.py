"""Route of thumbnails."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.assets.errors import ContentMissing
from app.assets.thumbnails import DEFAULT_SIZE, ThumbnailService
from app.http.auth import PrincipalDep
from app.http.dependencies import Injected
from app.http.file_response import content_response
from app.http.pagination import EmptyAsAbsent
from app.http.routing import SecuredRoute
from app.http.stored_content import ContentCorrupt
from app.storage import ObjectMissing

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["assets"])

_WEBP: dict[int | str, dict[str, Any]] = {
    200: {"description": "The thumbnail.", "content": {"image/webp": {}}},
    304: {"description": "The thumbnail has the ETag of If-None-Match."},
}
_Size = Annotated[
    Annotated[int, Query(ge=16, le=1024)] | None,
    EmptyAsAbsent,
    Query(description=f"The longer side in pixels; {DEFAULT_SIZE} by default."),
]


@router.get("/assets/{asset_id}/thumbnail", response_class=Response, responses=_WEBP)
async def get_thumbnail(
    asset_id: str,
    request: Request,
    thumbnails: Annotated[ThumbnailService, Injected(ThumbnailService)],
    principal: PrincipalDep,
    size: _Size = None,
) -> Response:
    """Return a thumbnail of an image, or of the first meaningful frame of a video, as WebP."""
    size = size or DEFAULT_SIZE
    content = await thumbnails.get(principal.user_id, asset_id, size)
    try:
        return await content_response(content, request)
    except (ObjectMissing, ContentCorrupt):
        await thumbnails.discard(asset_id, content)
    content = await thumbnails.get(principal.user_id, asset_id, size)
    try:
        return await content_response(content, request)
    except ObjectMissing:
        raise ContentMissing from None
