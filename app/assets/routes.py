"""Routes of assets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from app.assets.direct_uploads import UploadService
from app.assets.errors import ContentMissing
from app.assets.presigned_uploads import ReservationService
from app.assets.presigned_urls import Links, check_readable
from app.assets.queries import Row
from app.assets.schemas import asset_fields, asset_response, json_response
from app.assets.service import AssetService
from app.database.engine import Database
from app.http.auth import Principal, current_principal
from app.http.dependencies import services_of
from app.http.etags import IfMatch
from app.http.file_response import body_of, content_response
from app.http.form_parser import FormReader
from app.http.idempotency.dependencies import IdempotencyKeyDep, replayed
from app.http.pagination import EmptyAsAbsent, PageDep
from app.http.request_body import declared_bytes
from app.http.routing import SecuredRoute
from app.settings import Settings
from app.storage import ObjectMissing, Storage, network_of
from app.temp.service import TempService
from processing_context.wire.assets import (
    Asset,
    AssetCreate,
    AssetList,
    AssetUpdate,
    PresignedUrl,
    Urls,
    UrlsCreate,
)

FORM_OVERHEAD_BYTES = 64 * 1024

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["assets"])

_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "json": AssetCreate.model_json_schema(),
                        "file": {"type": "string", "format": "binary"},
                    },
                }
            }
        },
    }
}
_RAW: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes.", "content": {"*/*": {}}},
    206: {"description": "The range of them that was asked for.", "content": {"*/*": {}}},
    304: {"description": "They are still those of If-None-Match."},
    307: {"description": "Where they are, with redirect=true."},
}


class _Caller:
    """The domain's services for one request, each made when it is asked for."""

    def __init__(self, request: Request) -> None:
        services = services_of(request)
        self._principal = current_principal(request)
        self._db = services.get(Database)
        self._storage = services.get(Storage)
        self.settings = services.get(Settings)
        self.links = Links(self._storage, network_of(request))

    @property
    def assets(self) -> AssetService:
        """The assets of the caller."""
        return AssetService(self._db, self._storage, owner_id=self._principal.user_id)

    @property
    def uploads(self) -> UploadService:
        """What makes assets of bytes that come through the service."""
        return UploadService(*self._parts())

    @property
    def reservations(self) -> ReservationService:
        """What makes assets of bytes that go past the service."""
        return ReservationService(*self._parts())

    def _parts(self) -> tuple[Database, Storage, Settings, Principal]:
        return self._db, self._storage, self.settings, self._principal

    def answer(self, row: Row, *, status_code: int = 200) -> Response:
        """Return the answer that is one asset, with a fresh URL."""
        urls = self.urls(row)
        return asset_response(row, *urls, status_code=status_code)

    def urls(self, row: Row) -> tuple[str | None, str | None]:
        """Return fresh URLs of the bytes and of the thumbnail."""
        expires_s = self.settings.url_ttl_s
        return self.links.to_get(row, expires_s), self.links.to_thumbnail(row, expires_s)


async def _caller(request: Request) -> _Caller:
    return _Caller(request)


Caller = Annotated[_Caller, Depends(_caller)]


@router.post("/assets", status_code=201, response_model=Asset, openapi_extra=_FORM)
async def create_asset(request: Request, caller: Caller, once: IdempotencyKeyDep) -> Response:
    """Make an asset of a form's part `file`, with what the part `json` before it says.

    Without a `file`: a folder, when the content type is `folder`.
    """
    settings = caller.settings
    limit = settings.max_upload_bytes + settings.max_json_bytes + FORM_OVERHEAD_BYTES
    form = FormReader(request.headers.get("content-type"), body_of(request, limit))
    declared = declared_bytes(request) - FORM_OVERHEAD_BYTES
    row, is_replay = await caller.uploads.create(form, once, declared=declared)
    return made(caller.answer(row, status_code=201), is_replay=is_replay)


_Text = Annotated[str | None, EmptyAsAbsent, Query()]
_Flag = Annotated[bool | None, EmptyAsAbsent, Query()]


@router.get("/assets", response_model=AssetList)
async def list_assets(
    caller: Caller,
    page: PageDep,
    parent_id: _Text = None,
    workflow_id: _Text = None,
    job_id: _Text = None,
    content_type: _Text = None,
    q: _Text = None,
    recursive: _Flag = None,
    urls: _Flag = None,
) -> Response:
    """List assets, newest first: those in a folder or at the top; with `recursive` all below it."""
    filters = {
        "parent_id": parent_id,
        "workflow_id": workflow_id,
        "job_id": job_id,
        "content_type": content_type,
        "q": q,
        "recursive": recursive,
    }
    rows, following = await caller.assets.page(page, filters)
    assets = [asset_fields(row, *(caller.urls(row) if urls else (None, None))) for row in rows]
    return json_response({"next": following, "assets": assets})


@router.get("/assets/{asset_id}", response_model=Asset)
async def get_asset(asset_id: str, caller: Caller) -> Response:
    """Return one asset."""
    return caller.answer(await caller.assets.get(asset_id))


@router.patch("/assets/{asset_id}", response_model=Asset)
async def update_asset(
    asset_id: str, caller: Caller, body: AssetUpdate, if_match: IfMatch = None
) -> Response:
    """Rename, move or describe an asset; a field left out stays."""
    return caller.answer(await caller.assets.update(asset_id, body, if_match))


@router.delete("/assets/{asset_id}", status_code=204)
async def delete_asset(
    asset_id: str, caller: Caller, recursive: _Flag = None, if_match: IfMatch = None
) -> None:
    """Delete an asset and its bytes; a folder that is not empty only with `recursive`."""
    await caller.assets.delete(asset_id, if_match, recursive=bool(recursive))


@router.get("/assets/{asset_id}/content", response_class=Response, responses=_BYTES)
@router.head(
    "/assets/{asset_id}/content",
    name="head_content",
    response_class=Response,
    responses=_BYTES,
)
async def get_content(
    asset_id: str, request: Request, caller: Caller, redirect: _Flag = None
) -> Response:
    """Return the bytes, or with `redirect` where they are. HTML, SVG, XML are only to be saved."""
    row = await caller.assets.get(asset_id)
    if redirect:
        return _redirect(caller, row)
    try:
        return await content_response(caller.links.content(row), request)
    except ObjectMissing:
        # The bytes may just have been replaced.
        row = await caller.assets.get(asset_id)
    try:
        return await content_response(caller.links.content(row), request)
    except ObjectMissing:
        raise ContentMissing from None


@router.put("/assets/{asset_id}/content", response_model=Asset, openapi_extra=_RAW)
async def replace_content(
    asset_id: str, request: Request, caller: Caller, if_match: IfMatch = None
) -> Response:
    """Replace the bytes of an asset by the raw body."""
    body = body_of(request, caller.settings.max_upload_bytes)
    claimed = request.headers.get("content-type")
    declared = declared_bytes(request)
    return caller.answer(
        await caller.uploads.replace(asset_id, body, claimed, if_match, declared=declared)
    )


_ExpiresIn = Annotated[
    Annotated[int, Query(ge=1, le=604_800)] | None, EmptyAsAbsent, Query(description="Seconds.")
]


@router.get("/assets/{asset_id}/url", response_model=PresignedUrl)
async def get_url(
    asset_id: str, caller: Caller, expires_in: _ExpiresIn = None, download: _Flag = None
) -> Response:
    """Return a URL for the bytes that needs no header; with `download` a browser saves them."""
    row = await caller.assets.get(asset_id)
    check_readable(row)
    expires_s = expires_in or 3600
    return json_response(
        {
            "url": caller.links.to_get(row, expires_s, download=bool(download)),
            "expires_at": expiry(expires_s),
        }
    )


@router.post("/urls", response_model=Urls)
async def get_urls(request: Request, caller: Caller, body: UrlsCreate) -> Response:
    """Return URLs for many files at once, for pages that cannot send a header."""
    urls = {
        row["id"]: url
        for row in await caller.assets.many(body.asset_ids)
        if (url := caller.links.to_get(row, body.expires_in)) is not None
    }
    temp = TempService.of(request)
    return json_response({"urls": urls | await temp.urls(body.temp_ids, body.expires_in)})


@router.get(
    "/storage/assets/{key}",
    status_code=307,
    response_class=Response,
    responses={307: {"description": "Where the bytes are."}},
)
async def redirect_to_asset(key: str, caller: Caller) -> Response:
    """Redirect from an asset's stable URL to its bytes; the extension does not matter."""
    return _redirect(caller, await caller.assets.get(key.partition(".")[0]))


def _redirect(caller: _Caller, row: Row) -> Response:
    check_readable(row)
    url = caller.links.to_get(row, caller.settings.url_ttl_s)
    return Response(status_code=307, headers={"Location": str(url), "Cache-Control": "no-store"})


def expiry(seconds: int) -> datetime:
    """Return when a URL that is signed now expires; storage goes by its own clock."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


def made(response: Response, *, is_replay: bool) -> Response:
    """Return the answer of a POST that created, now or before."""
    if is_replay:
        replayed(response)
    return response
