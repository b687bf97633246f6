"""Routes of temporary files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import StringConstraints

from app.http.auth import PrincipalDep
from app.http.dependencies import Injected
from app.http.file_response import body_of, content_response
from app.http.idempotency.dependencies import IdempotencyKeyDep, replayed
from app.http.request_body import declared_bytes
from app.http.responses import json_response
from app.http.routing import SecuredRoute
from app.settings import Settings
from app.storage import Network, ObjectMissing, network_of
from app.temp.errors import TempNotStored
from app.temp.presigned_urls import TempUrls
from app.temp.schemas import temp_out
from app.temp.service import TempService
from processing_context.wire.assets import TempAsset, TempUploadCreate

if TYPE_CHECKING:
    from app.temp.queries import TempRecord

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["temp"])

_RAW: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}

TempFiles = Annotated[TempService, Injected(TempService)]
Urls = Annotated[TempUrls, Injected(TempUrls)]


def _out(file: TempRecord, urls: TempUrls, network: Network) -> TempAsset:
    get_url = urls.to_get(file, network) if file.is_stored else None
    put_url = None if file.is_stored else urls.to_put(file, network)
    return temp_out(file, get_url=get_url, put_url=put_url)


def _created(temp: TempAsset, *, is_replay: bool) -> Response:
    response = json_response(temp, status_code=201)
    if is_replay:
        replayed(response)
    return response


@router.post("/temp", status_code=201, response_model=TempAsset, openapi_extra=_RAW)
async def create_temp(
    request: Request,
    temp: TempFiles,
    urls: Urls,
    principal: PrincipalDep,
    settings: Annotated[Settings, Injected(Settings)],
    key: IdempotencyKeyDep,
    ext: Annotated[
        Annotated[str, StringConstraints(pattern=r"^\.?[A-Za-z0-9]{0,16}$")], Query()
    ] = "",
) -> Response:
    """Create a temporary file from the request body."""
    file, is_replay = await temp.create(
        principal,
        body_of(request, settings.max_upload_bytes),
        ext=ext.removeprefix("."),
        content_type=request.headers.get("content-type"),
        key=key,
        declared=declared_bytes(request),
    )
    return _created(_out(file, urls, network_of(request)), is_replay=is_replay)


@router.post("/temp/uploads", status_code=201, response_model=TempAsset)
async def reserve_temp(
    request: Request,
    temp: TempFiles,
    urls: Urls,
    principal: PrincipalDep,
    key: IdempotencyKeyDep,
    body: TempUploadCreate | None = None,
) -> Response:
    """Reserve a temporary file, and return a presigned URL to put its bytes."""
    file, is_replay = await temp.reserve(principal, body or TempUploadCreate(), key)
    return _created(_out(file, urls, network_of(request)), is_replay=is_replay)


@router.get("/temp/{temp_id}", response_model=TempAsset)
async def get_temp(
    temp_id: str, request: Request, temp: TempFiles, urls: Urls, principal: PrincipalDep
) -> Response:
    """Return one temporary file."""
    file = await temp.get(principal.user_id, temp_id)
    return json_response(_out(file, urls, network_of(request)))


@router.delete("/temp/{temp_id}", status_code=204)
async def delete_temp(temp_id: str, temp: TempFiles, principal: PrincipalDep) -> None:
    """Delete a temporary file before it expires."""
    await temp.delete(principal.user_id, temp_id)


@router.get("/temp/{temp_id}/content", response_class=Response)
async def get_temp_content(
    temp_id: str, request: Request, temp: TempFiles, principal: PrincipalDep
) -> Response:
    """Return the bytes of a temporary file, or a range of them."""
    content = temp.content(await temp.get(principal.user_id, temp_id))
    try:
        return await content_response(content, request)
    except ObjectMissing:
        raise TempNotStored from None


@router.get(
    "/storage/temp/{key}",
    status_code=307,
    response_class=Response,
    responses={307: {"description": "Redirect to a presigned URL of the bytes."}},
)
async def redirect_to_temp(
    key: str, request: Request, temp: TempFiles, urls: Urls, principal: PrincipalDep
) -> Response:
    """Redirect from the stable URL of a temporary file to its bytes."""
    file = await temp.get(principal.user_id, key)
    if not file.is_stored:
        raise TempNotStored
    url = urls.to_get(file, network_of(request), method=request.method)
    return Response(status_code=307, headers={"Location": url, "Cache-Control": "no-store"})
