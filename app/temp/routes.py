"""Routes of temporary files."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import StringConstraints

from app.http.dependencies import services_of
from app.http.file_response import body_of, content_response
from app.http.idempotency.dependencies import IdempotencyKeyDep, replayed
from app.http.routing import SecuredRoute
from app.settings import Settings
from app.storage import ObjectMissing
from app.temp.queries import Row
from app.temp.service import TempNotStored, TempService
from processing_context.wire.assets import TempAsset, TempUploadCreate

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["temp"])

_RAW: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


async def _service(request: Request) -> TempService:
    return TempService.of(request)


Temp = Annotated[TempService, Depends(_service)]


def _out(request: Request, temp: TempService, row: Row) -> TempAsset:
    settings = services_of(request).get(Settings)
    is_stored = row["is_stored"]
    return TempAsset(
        id=row["id"],
        get_url=temp.url_to_get(row, settings.url_ttl_s) if is_stored else None,
        put_url=None if is_stored else temp.url_to_put(row),
        size=row["size"],
        content_type=row["content_type"],
        expires_at=row["expires_at"],
    )


@router.post("/temp", status_code=201, openapi_extra=_RAW)
async def create_temp(
    request: Request,
    response: Response,
    temp: Temp,
    once: IdempotencyKeyDep,
    ext: Annotated[
        Annotated[str, StringConstraints(pattern=r"^\.?[A-Za-z0-9]{0,16}$")], Query()
    ] = "",
) -> TempAsset:
    """Put the raw body into a temporary file."""
    settings = services_of(request).get(Settings)
    row, is_replay = await temp.create(
        body_of(request, settings.max_upload_bytes),
        ext=ext.removeprefix("."),
        claimed=request.headers.get("content-type"),
        once=once,
    )
    if is_replay:
        replayed(response)
    return _out(request, temp, row)


@router.post("/temp/uploads", status_code=201)
async def reserve_temp(
    request: Request,
    response: Response,
    temp: Temp,
    once: IdempotencyKeyDep,
    body: TempUploadCreate | None = None,
) -> TempAsset:
    """Reserve a temporary file and get a URL to put its bytes to."""
    row, is_replay = await temp.reserve(body or TempUploadCreate(), once)
    if is_replay:
        replayed(response)
    return _out(request, temp, row)


@router.get("/temp/{temp_id}")
async def get_temp(temp_id: str, request: Request, temp: Temp) -> TempAsset:
    """Return one temporary file."""
    return _out(request, temp, await temp.get(temp_id))


@router.delete("/temp/{temp_id}", status_code=204)
async def delete_temp(temp_id: str, temp: Temp) -> None:
    """Delete a temporary file before its time."""
    await temp.delete(temp_id)


@router.get("/temp/{temp_id}/content", response_class=Response)
async def get_temp_content(temp_id: str, request: Request, temp: Temp) -> Response:
    """Return the bytes, or a range of them."""
    content = temp.content(await temp.get(temp_id))
    try:
        return await content_response(content, request)
    except ObjectMissing:
        raise TempNotStored from None


@router.get(
    "/storage/temp/{key}",
    status_code=307,
    response_class=Response,
    responses={307: {"description": "Where the bytes are."}},
)
async def redirect_to_temp(key: str, request: Request, temp: Temp) -> Response:
    """Redirect from a temporary file's stable URL to its bytes."""
    settings = services_of(request).get(Settings)
    row = await temp.get(key)
    temp.content(row)
    url = temp.url_to_get(row, settings.url_ttl_s)
    return Response(status_code=307, headers={"Location": url, "Cache-Control": "no-store"})
