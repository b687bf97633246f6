"""Routes of assets and of their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.assets.direct_uploads import FORM_OVERHEAD_BYTES, DirectUploadService
from app.assets.errors import ContentMissing
from app.assets.filters import AssetFilters
from app.assets.presigned_urls import PresignedUrls
from app.assets.responses import asset_response, created_response, expiry, with_urls
from app.assets.schemas import asset_fields
from app.assets.service import AssetService, check_readable
from app.assets.url_batches import UrlService
from app.http.auth import PrincipalDep
from app.http.dependencies import Injected, services_of
from app.http.etags import IfMatch
from app.http.file_response import body_of, content_response
from app.http.form_parser import FormReader
from app.http.idempotency.dependencies import IdempotencyKeyDep
from app.http.pagination import EmptyAsAbsent, PageDep, list_response
from app.http.request_body import declared_bytes
from app.http.responses import json_response
from app.http.routing import SecuredRoute
from app.settings import Settings
from app.storage import ObjectMissing, network_of
from processing_context.wire.assets import (
    Asset,
    AssetCreate,
    AssetList,
    AssetUpdate,
    PresignedUrl,
    Urls,
    UrlsCreate,
)

if TYPE_CHECKING:
    from app.assets.queries import AssetRecord

DEFAULT_EXPIRES_S = 3600

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["assets"])

Assets = Annotated[AssetService, Injected(AssetService)]
PresignedUrlsDep = Annotated[PresignedUrls, Injected(PresignedUrls)]
SettingsDep = Annotated[Settings, Injected(Settings)]
Uploads = Annotated[DirectUploadService, Injected(DirectUploadService)]

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
    206: {"description": "The requested range of the bytes.", "content": {"*/*": {}}},
    304: {"description": "The bytes have the ETag of If-None-Match."},
    307: {"description": "Redirect to a presigned URL of the bytes, with redirect=true."},
}


@router.post("/assets", status_code=201, response_model=Asset, openapi_extra=_FORM)
async def create_asset(
    request: Request,
    uploads: Uploads,
    principal: PrincipalDep,
    settings: SettingsDep,
    key: IdempotencyKeyDep,
) -> Response:
    """Create an asset from a form with an optional part `json`, then a part `file`.

    The part `json` describes the asset. With the content type `folder` and without a part `file`, a
    folder is created.
    """
    limit = settings.max_upload_bytes + settings.max_json_bytes + FORM_OVERHEAD_BYTES
    form = FormReader(request.headers.get("content-type"), body_of(request, limit))
    declared = declared_bytes(request) - FORM_OVERHEAD_BYTES
    asset, is_replay = await uploads.create(principal, form, key, declared=declared)
    return created_response(request, asset, is_replay=is_replay)


_Text = Annotated[str | None, EmptyAsAbsent, Query()]
_Flag = Annotated[bool | None, EmptyAsAbsent, Query()]


@router.get("/assets", response_model=AssetList)
async def list_assets(
    request: Request,
    assets: Assets,
    principal: PrincipalDep,
    page: PageDep,
    parent_id: _Text = None,
    workflow_id: _Text = None,
    job_id: _Text = None,
    content_type: _Text = None,
    q: _Text = None,
    recursive: _Flag = None,
    urls: _Flag = None,
) -> Response:
    """List the assets of a folder or of the top level, newest first.

    With `recursive`, the assets at all levels below are included.
    """
    filters = AssetFilters(parent_id, workflow_id, job_id, content_type, q, recursive)
    found, following = await assets.page(principal.user_id, page, filters)
    fields = with_urls(request, found) if urls else [asset_fields(asset) for asset in found]
    return list_response(
        "assets", fields, following, fields=lambda asset: asset, key=lambda asset: str(asset["id"])
    )


@router.get("/assets/{asset_id}", response_model=Asset)
async def get_asset(
    asset_id: str,
    request: Request,
    assets: Assets,
    principal: PrincipalDep,
) -> Response:
    """Return one asset."""
    return asset_response(request, await assets.get(principal.user_id, asset_id))


@router.patch("/assets/{asset_id}", response_model=Asset)
async def update_asset(
    asset_id: str,
    request: Request,
    assets: Assets,
    principal: PrincipalDep,
    body: AssetUpdate,
    if_match: IfMatch = None,
) -> Response:
    """Rename, move or describe an asset; omitted fields are not changed."""
    asset = await assets.update(principal.user_id, asset_id, body, if_match=if_match)
    return asset_response(request, asset)


@router.delete("/assets/{asset_id}", status_code=204)
async def delete_asset(
    asset_id: str,
    assets: Assets,
    principal: PrincipalDep,
    recursive: _Flag = None,
    if_match: IfMatch = None,
) -> None:
    """Delete an asset and its bytes; a folder that is not empty only with `recursive`."""
    await assets.delete(principal.user_id, asset_id, if_match=if_match, recursive=bool(recursive))


@router.get("/assets/{asset_id}/content", response_class=Response, responses=_BYTES)
@router.head(
    "/assets/{asset_id}/content",
    name="head_content",
    response_class=Response,
    responses=_BYTES,
)
async def get_content(
    asset_id: str,
    request: Request,
    assets: Assets,
    principal: PrincipalDep,
    redirect: _Flag = None,
) -> Response:
    """Return the bytes; with `redirect`, redirect to a presigned URL of them.

    HTML, SVG and XML are sent as attachments, so that browsers do not show them.
    """
    asset = await assets.get(principal.user_id, asset_id)
    if redirect:
        return _redirect(request, asset)
    try:
        return await content_response(assets.content(asset), request)
    except ObjectMissing:
        # The bytes may have been replaced concurrently.
        asset = await assets.get(principal.user_id, asset_id)
    try:
        return await content_response(assets.content(asset), request)
    except ObjectMissing:
        raise ContentMissing from None


@router.put("/assets/{asset_id}/content", response_model=Asset, openapi_extra=_RAW)
async def replace_content(
    asset_id: str,
    request: Request,
    uploads: Uploads,
    principal: PrincipalDep,
    settings: SettingsDep,
    if_match: IfMatch = None,
) -> Response:
    """Replace the bytes of an asset by the request body."""
    asset = await uploads.replace(
        principal,
        asset_id,
        body_of(request, settings.max_upload_bytes),
        content_type=request.headers.get("content-type"),
        if_match=if_match,
        declared=declared_bytes(request),
    )
    return asset_response(request, asset)


_ExpiresIn = Annotated[
    Annotated[int, Query(ge=1, le=604_800)] | None,
    EmptyAsAbsent,
    Query(description="Validity of the URL in seconds."),
]


@router.get("/assets/{asset_id}/url", response_model=PresignedUrl)
async def get_url(
    asset_id: str,
    request: Request,
    assets: Assets,
    presigned: PresignedUrlsDep,
    principal: PrincipalDep,
    expires_in: _ExpiresIn = None,
    download: _Flag = None,
) -> Response:
    """Return a presigned URL of the bytes; with `download`, browsers save the file."""
    asset = await assets.get(principal.user_id, asset_id)
    check_readable(asset)
    expires_s = expires_in or DEFAULT_EXPIRES_S
    url = presigned.to_get(asset, network_of(request), expires_s=expires_s, download=bool(download))
    return json_response({"url": url, "expires_at": expiry(expires_s)})


@router.post("/urls", response_model=Urls)
async def get_urls(
    request: Request,
    urls: Annotated[UrlService, Injected(UrlService)],
    principal: PrincipalDep,
    body: UrlsCreate,
) -> Response:
    """Return presigned URLs of many files, for pages that cannot send an Authorization header."""
    found = await urls.get(
        principal.user_id,
        body.asset_ids,
        body.temp_ids,
        network=network_of(request),
        expires_s=body.expires_in,
    )
    return json_response({"urls": found})


@router.get(
    "/storage/assets/{key}",
    status_code=307,
    response_class=Response,
    responses={307: {"description": "Redirect to a presigned URL of the bytes."}},
)
async def redirect_to_asset(
    key: str,
    request: Request,
    assets: Assets,
    principal: PrincipalDep,
) -> Response:
    """Redirect from the stable URL of an asset to its bytes; an extension in it is ignored."""
    asset = await assets.get(principal.user_id, key.partition(".")[0])
    return _redirect(request, asset)


def _redirect(request: Request, asset: AssetRecord) -> Response:
    check_readable(asset)
    presigned = services_of(request).get(PresignedUrls)
    url = presigned.to_get(asset, network_of(request), method=request.method)
    return Response(status_code=307, headers={"Location": str(url), "Cache-Control": "no-store"})
