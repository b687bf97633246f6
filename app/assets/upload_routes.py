"""Routes of uploads that go straight into storage, by presigned URLs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from app.assets.part_plan import Cut
from app.assets.queries import Row
from app.assets.routes import Caller, expiry, made
from app.assets.schemas import asset_fields, json_response
from app.http.idempotency.dependencies import IdempotencyKeyDep
from app.http.pagination import EmptyAsAbsent
from app.http.routing import SecuredRoute
from processing_context.wire.assets import (
    Asset,
    MultipartState,
    PutUpload,
    UploadComplete,
    UploadCreate,
    UploadReserved,
)

PARTS_AT_ONCE = 100
MAX_PARTS_AT_ONCE = 1000

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["assets"])

_First = Annotated[
    Annotated[int, Query(alias="from", ge=1, le=10_000)] | None,
    EmptyAsAbsent,
    Query(alias="from", description="The first part to give a URL for, if it is missing."),
]
_Limit = Annotated[
    Annotated[int, Query(ge=1, le=MAX_PARTS_AT_ONCE)] | None,
    EmptyAsAbsent,
    Query(description=f"How many parts to look at from there; {PARTS_AT_ONCE} by default."),
]


@router.post("/assets/uploads", status_code=201, response_model=UploadReserved)
async def reserve_upload(caller: Caller, once: IdempotencyKeyDep, body: UploadCreate) -> Response:
    """Reserve an asset whose bytes go straight into storage: over 64 MiB in parts, else by one PUT.

    Send `headers` as they are given, and each part with exactly its length.
    """
    row, is_replay = await caller.reservations.reserve(body, once)
    if row["part_size"] is None:
        upload = _put(caller, row)
    else:
        # An upload that is over has no URLs any more: it is to be completed, again.
        is_open = row["upload_id"] is not None
        upload = _multipart(caller, row, Cut.of(row).numbers(1, PARTS_AT_ONCE if is_open else 0))
    reply = {"asset": asset_fields(row, None), "upload": upload}
    return made(json_response(reply, status_code=201), is_replay=is_replay)


@router.get("/assets/{asset_id}/upload", response_model=PutUpload | MultipartState)
async def get_upload(
    asset_id: str, caller: Caller, first: _First = None, limit: _Limit = None
) -> Response:
    """Return where a pending upload stands: all stored parts, and fresh URLs for missing ones.

    URLs are given for those of the `limit` parts from `from` on that are missing.
    """
    row = await caller.reservations.renew(asset_id)
    if row["part_size"] is None:
        return json_response(_put(caller, row))
    stored = await caller.reservations.stored(row)
    have = {part.number for part in stored}
    wanted = Cut.of(row).numbers(first or 1, limit or PARTS_AT_ONCE)
    state = _multipart(caller, row, [number for number in wanted if number not in have])
    state["stored"] = [
        {"part_number": part.number, "size": part.size, "etag": part.etag} for part in stored
    ]
    return json_response(state)


@router.delete("/assets/{asset_id}/upload", status_code=204)
async def abort_upload(asset_id: str, caller: Caller) -> None:
    """Give up a pending upload; its parts and the reserved asset go too."""
    await caller.reservations.abort(asset_id)


@router.post("/assets/{asset_id}/complete", response_model=Asset)
async def complete_upload(
    asset_id: str, caller: Caller, body: UploadComplete | None = None
) -> Response:
    """Make a pending asset ready once storage has its bytes. Repeating it does no harm.

    The SHA-256 of an upload in parts is worked out afterwards; where it is not the declared one,
    the asset becomes `corrupt`.
    """
    return caller.answer(await caller.reservations.complete(asset_id, body or UploadComplete()))


def _put(caller: Caller, row: Row) -> dict[str, Any]:
    expires_s = caller.settings.upload_url_ttl_s
    url, headers = caller.links.to_put(row, expires_s)
    return {"kind": "put", "url": url, "headers": headers, "expires_at": expiry(expires_s)}


def _multipart(caller: Caller, row: Row, numbers: Sequence[int]) -> dict[str, Any]:
    cut = Cut.of(row)
    expires_s = caller.settings.upload_url_ttl_s
    return {
        "kind": "multipart",
        "part_size": cut.part_size,
        "part_count": cut.count,
        "parts": caller.links.to_put_parts(row, numbers, expires_s),
        "expires_at": expiry(expires_s),
    }
