"""Routes of uploads to storage by presigned URLs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.assets.part_plan import PartPlan
from app.assets.presigned_uploads import PresignedUploadService
from app.assets.presigned_urls import PresignedUrls
from app.assets.responses import asset_response, expiry, marked
from app.assets.schemas import asset_fields
from app.http.auth import PrincipalDep
from app.http.dependencies import Injected
from app.http.idempotency.dependencies import IdempotencyKeyDep
from app.http.pagination import EmptyAsAbsent
from app.http.responses import json_response
from app.http.routing import SecuredRoute
from app.storage import Network, network_of
from processing_context.wire.assets import (
    Asset,
    MultipartState,
    PutUpload,
    UploadComplete,
    UploadCreate,
    UploadReserved,
)

if TYPE_CHECKING:
    from app.assets.queries import AssetRecord

PARTS_AT_ONCE = 100
MAX_PARTS_AT_ONCE = 1000

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["assets"])

Uploads = Annotated[PresignedUploadService, Injected(PresignedUploadService)]
PresignedUrlsDep = Annotated[PresignedUrls, Injected(PresignedUrls)]

_First = Annotated[
    Annotated[int, Query(alias="from", ge=1, le=10_000)] | None,
    EmptyAsAbsent,
    Query(alias="from", description="The number of the first part to return a URL for."),
]
_Limit = Annotated[
    Annotated[int, Query(ge=1, le=MAX_PARTS_AT_ONCE)] | None,
    EmptyAsAbsent,
    Query(description=f"The number of parts to check; {PARTS_AT_ONCE} by default."),
]


@router.post("/assets/uploads", status_code=201, response_model=UploadReserved)
async def reserve_upload(
    request: Request,
    uploads: Uploads,
    presigned: PresignedUrlsDep,
    principal: PrincipalDep,
    key: IdempotencyKeyDep,
    body: UploadCreate,
) -> Response:
    """Reserve an asset whose bytes are put to presigned URLs: one PUT, or parts if over 64 MiB.

    Send `headers` unchanged, and each part with exactly its size.
    """
    asset, is_replay = await uploads.reserve(principal, body, key)
    network = network_of(request)
    if asset.part_size is None:
        upload = _put_upload(presigned, asset, network)
    else:
        numbers = PartPlan.of(asset).numbers(1, PARTS_AT_ONCE)
        upload = _multipart_upload(presigned, asset, numbers, network)
    response = json_response({"asset": asset_fields(asset), "upload": upload}, status_code=201)
    return marked(response, is_replay=is_replay)


@router.get("/assets/{asset_id}/upload", response_model=PutUpload | MultipartState)
async def get_upload(
    asset_id: str,
    request: Request,
    uploads: Uploads,
    presigned: PresignedUrlsDep,
    principal: PrincipalDep,
    first: _First = None,
    limit: _Limit = None,
) -> Response:
    """Return the state of a pending upload: its stored parts, and new URLs for missing parts.

    URLs are returned for the missing parts among the `limit` parts that begin with `from`.
    """
    asset = await uploads.renew(principal.user_id, asset_id)
    network = network_of(request)
    if asset.part_size is None:
        return json_response(_put_upload(presigned, asset, network))
    stored = await uploads.stored(asset)
    present = {part.number for part in stored}
    wanted = PartPlan.of(asset).numbers(first or 1, limit or PARTS_AT_ONCE)
    missing = [number for number in wanted if number not in present]
    state = _multipart_upload(presigned, asset, missing, network)
    state["stored"] = [
        {"part_number": part.number, "size": part.size, "etag": part.etag} for part in stored
    ]
    return json_response(state)


@router.delete("/assets/{asset_id}/upload", status_code=204)
async def abort_upload(asset_id: str, uploads: Uploads, principal: PrincipalDep) -> None:
    """Abort a pending upload; its parts and the reserved asset are deleted."""
    await uploads.abort(principal.user_id, asset_id)


@router.post("/assets/{asset_id}/complete", response_model=Asset)
async def complete_upload(
    asset_id: str,
    request: Request,
    uploads: Uploads,
    principal: PrincipalDep,
    body: UploadComplete | None = None,
) -> Response:
    """Mark a pending asset as ready if storage has its bytes. The request can be repeated.

    The SHA-256 of a multipart upload is verified afterwards; if it is not the declared one, the
    asset becomes `corrupt`.
    """
    asset = await uploads.complete(principal.user_id, asset_id, body or UploadComplete())
    return asset_response(request, asset)


def _put_upload(presigned: PresignedUrls, asset: AssetRecord, network: Network) -> dict[str, Any]:
    url, headers = presigned.to_put(asset, network)
    return {
        "kind": "put",
        "url": url,
        "headers": headers,
        "expires_at": expiry(presigned.put_ttl_s),
    }


def _multipart_upload(
    presigned: PresignedUrls, asset: AssetRecord, numbers: Iterable[int], network: Network
) -> dict[str, Any]:
    plan = PartPlan.of(asset)
    return {
        "kind": "multipart",
        "part_size": plan.part_size,
        "part_count": plan.count,
        "parts": presigned.to_put_parts(asset, numbers, network),
        "expires_at": expiry(presigned.put_ttl_s),
    }
