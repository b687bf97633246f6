"""Helpers that create and read assets over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
from minio import Minio

from app.settings import Settings
from processing_context.wire.assets import Asset
from tests.support.services import WAIT_S, Service, User


def form(
    content: bytes | None = b"hello",
    *,
    file_name: str | None = "hello.txt",
    file_type: str | None = None,
    **draft: Any,
) -> dict[str, Any]:
    """Return httpx's arguments for the form of an upload."""
    files: list[tuple[str, Any]] = []
    if draft:
        files.append(("json", (None, orjson.dumps(draft), "application/json")))
    if content is not None:
        named = (file_name, content, file_type) if file_type else (file_name, content)
        files.append(("file", named))
    return {"files": files}


async def make_asset(user: User, content: bytes | None = b"hello", **options: Any) -> Asset:
    """Upload an asset."""
    reply = await user.http.post("/v1/assets", **form(content, **options))
    assert reply.status_code == 201, reply.text
    return Asset.model_validate(reply.json(), strict=False)


async def make_folder(user: User, name: str = "folder", parent_id: str | None = None) -> Asset:
    """Create a folder."""
    return await make_asset(user, None, name=name, content_type="folder", parent_id=parent_id)


async def names(user: User, **query: Any) -> list[str]:
    """Return the names of the assets in a list."""
    reply = await user.http.get("/v1/assets", params=query)
    assert reply.status_code == 200, reply.text
    return [asset["name"] for asset in reply.json()["assets"]]


def s3(settings: Settings) -> Minio:
    """Return a client of the S3 server."""
    assert settings.s3_endpoint
    assert settings.s3_access_key
    assert settings.s3_secret_key
    return Minio(
        urlsplit(settings.s3_endpoint).netloc,
        settings.s3_access_key.get_secret_value(),
        settings.s3_secret_key.get_secret_value(),
        secure=False,
        region=settings.s3_region,
    )


async def keys(service: Service, bucket: str = "assets") -> set[str]:
    """Return the keys of all objects in a bucket, and of unfinished multipart uploads."""
    settings = service.settings
    name = settings.s3_asset_bucket if bucket == "assets" else settings.s3_temp_bucket

    def look() -> set[str]:
        client = s3(settings)
        objects = {str(item.object_name) for item in client.list_objects(name, recursive=True)}
        unfinished = client._list_multipart_uploads(name).uploads
        return objects | {f"unfinished {upload.object_name}" for upload in unfinished}

    return await asyncio.to_thread(look)


async def journal(service: Service) -> list[tuple[str, str]]:
    """Return the keys and operations in the journal."""

    async def read() -> list[tuple[str, str]]:
        rows = await service.db.pool.fetch("select key, op from storage_journal")
        return [(row["key"], row["op"]) for row in rows]

    return await service.run(read())


async def fetch(url: str) -> httpx.Response:
    """GET a presigned URL."""
    async with httpx.AsyncClient(timeout=WAIT_S) as http:
        return await http.get(url)


async def put(url: str, content: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    """PUT to a presigned URL."""
    async with httpx.AsyncClient(timeout=WAIT_S) as http:
        return await http.put(url, content=content, headers=headers or {})
