"""The route of thumbnails."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.assets.errors import ContentMissing
from app.assets.routes import Caller
from app.assets.thumbnails import USUAL_SIZE, ThumbnailService
from app.database.engine import Database
from app.http.dependencies import services_of
from app.http.file_response import content_response
from app.http.pagination import EmptyAsAbsent
from app.http.routing import SecuredRoute
from app.media.decoders.pool import Decoders
from app.storage import ObjectMissing, Storage

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["assets"])

_WEBP: dict[int | str, dict[str, Any]] = {
    200: {"description": "The thumbnail.", "content": {"image/webp": {}}},
    304: {"description": "It is still that of If-None-Match."},
}
_Size = Annotated[
    Annotated[int, Query(ge=16, le=1024)] | None,
    EmptyAsAbsent,
    Query(description=f"The longer side, in pixels; {USUAL_SIZE} by default."),
]


@router.get("/assets/{asset_id}/thumbnail", response_class=Response, responses=_WEBP)
async def get_thumbnail(
    asset_id: str, request: Request, caller: Caller, size: _Size = None
) -> Response:
    """Return a small WebP of an image or of a video's first good frame."""
    services = services_of(request)
    thumbnails = ThumbnailService(
        services.get(Database),
        services.get(Storage),
        services.get(Decoders),
        caller.assets,
        max_pixels=caller.settings.max_pixels,
    )
    content = await thumbnails.get(asset_id, size or USUAL_SIZE)
    try:
        return await content_response(content, request)
    except ObjectMissing:
        await thumbnails.forget(asset_id, content)
    try:
        return await content_response(await thumbnails.get(asset_id, size or USUAL_SIZE), request)
    except ObjectMissing:
        raise ContentMissing from None
