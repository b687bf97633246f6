"""Helpers for multipart uploads, through the API and to storage."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx

from processing_context.wire.assets import MultipartState, MultipartUpload, UploadReserved
from tests.support.assets import put
from tests.support.services import Service, User, eventually

MIB = 1024 * 1024
PART = 8 * MIB
SIZE = 8 * PART + 1
"""Size of an upload of nine parts; the last one has one byte."""


def content_of(number: int, size: int = SIZE) -> bytes:
    """Return the content of a part."""
    return bytes([number % 256]) * min(PART, size - (number - 1) * PART)


CONTENT = b"".join(content_of(number) for number in range(1, 10))
SHA256 = hashlib.sha256(CONTENT).hexdigest()


async def reserve(user: User, *, size: int = SIZE, **changes: Any) -> tuple[str, MultipartUpload]:
    """Reserve a multipart upload; return the asset's id and the upload."""
    body = {"name": "a", "content_type": "video/mp4", "size": size, **changes}
    headers = changes.pop("headers", None)
    body.pop("headers", None)
    reply = await user.http.post("/v1/assets/uploads", json=body, headers=headers)
    assert reply.status_code == 201, reply.text
    made = UploadReserved.model_validate(reply.json())
    assert isinstance(made.upload, MultipartUpload)
    return made.asset.id, made.upload


async def put_parts(upload: MultipartUpload, *numbers: int) -> dict[int, str]:
    """Upload some parts, by default all; return their ETags by number."""
    etags: dict[int, str] = {}
    for part in upload.parts:
        if not numbers or part.part_number in numbers:
            reply = await put(part.url, content_of(part.part_number))
            assert reply.status_code == 200, reply.text
            etags[part.part_number] = reply.headers["etag"]
    return etags


async def state(user: User, asset_id: str, **query: int) -> MultipartState:
    """Return the state of an upload."""
    reply = await user.http.get(f"/v1/assets/{asset_id}/upload", params=query)
    assert reply.status_code == 200, reply.text
    return MultipartState.model_validate(reply.json())


async def complete(
    user: User, asset_id: str, etags: dict[int, str] | None = None
) -> httpx.Response:
    """Complete an upload; return the response."""
    body: dict[str, Any] = {}
    if etags is not None:
        body["parts"] = [{"part_number": n, "etag": etag} for n, etag in etags.items()]
    return await user.http.post(f"/v1/assets/{asset_id}/complete", json=body)


async def checked(user: User, asset_id: str) -> dict[str, Any]:
    """Return the asset once its SHA-256 has been verified."""
    asset: dict[str, Any] = {}

    async def is_checked() -> bool:
        asset.update((await user.http.get(f"/v1/assets/{asset_id}")).json())
        return asset["sha256"] is not None

    await eventually(is_checked)
    return asset


async def key_of(service: Service, asset_id: str) -> str:
    """Return the key of an asset's object."""
    pool = service.db.pool
    query = "select id || '/' || version from assets where id = $1"
    key: str = await service.run(pool.fetchval(query, asset_id))
    return key
