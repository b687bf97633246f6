"""Tests of assets whose objects in storage are not those that were stored."""

from __future__ import annotations

import asyncio
import io
import os

import httpx
import pytest

from processing_context.wire.assets import Asset
from tests.support.assets import form, make_asset, put, s3
from tests.support.services import Service, User

LARGE = 3_000_000


async def tamper(service: Service, asset_id: str, content: bytes | None) -> None:
    """Replace the object of an asset behind the service, or remove it."""
    client, bucket = s3(service.settings), service.settings.s3_asset_bucket

    def run() -> None:
        [found] = client.list_objects(bucket, prefix=f"{asset_id}/", recursive=True)
        key = str(found.object_name)
        if content is None:
            client.remove_object(bucket, key)
        else:
            client.put_object(bucket, key, io.BytesIO(content), len(content))

    await asyncio.to_thread(run)


async def uploaded(user: User, content: bytes) -> Asset:
    """Create an asset by a presigned URL."""
    body = {"name": "a", "content_type": "a/b", "size": len(content)}
    reserved = (await user.http.post("/v1/assets/uploads", json=body)).json()
    upload = reserved["upload"]
    assert (await put(upload["url"], content, upload["headers"])).status_code == 200
    path = f"/v1/assets/{reserved['asset']['id']}"
    reply = await user.http.post(f"{path}/complete")
    assert reply.status_code == 200, reply.text
    return Asset.model_validate(reply.json(), strict=False)


async def batched(user: User, content: bytes) -> Asset:
    """Create an asset by a batch."""
    item = {"asset": {"name": "a", "content_type": "a/b"}, "size": len(content)}
    reply = await user.http.post("/v1/assets/batch", **form(content, assets=[item]))
    return Asset.model_validate(reply.json()["results"][0]["asset"], strict=False)


async def replaced(user: User, content: bytes) -> Asset:
    """Create an asset, and replace its bytes."""
    made = await make_asset(user, b"before")
    reply = await user.http.put(f"/v1/assets/{made.id}/content", content=content)
    return Asset.model_validate(reply.json(), strict=False)


def assert_corrupt(reply: httpx.Response) -> None:
    assert (reply.status_code, reply.json()["code"]) == (409, "content_corrupt")


@pytest.mark.parametrize("make", [make_asset, uploaded, batched, replaced])
@pytest.mark.parametrize("size", [1, 100_000])
async def test_other_bytes_of_the_same_size_are_never_delivered(
    service: Service, user: User, make: object, size: int
) -> None:
    assert callable(make)
    made = await make(user, os.urandom(size))
    path = f"/v1/assets/{made.id}/content"
    assert (await user.http.get(path)).status_code == 200
    part = await user.http.get(path, headers={"Range": "bytes=0-0"})
    assert part.status_code == 206
    await tamper(service, made.id, os.urandom(size))
    assert_corrupt(await user.http.get(path, headers={"Range": "bytes=0-0"}))
    assert (await user.http.head(path)).status_code == 409
    if made.sha256 is not None:
        assert_corrupt(await user.http.get(path))


async def test_large_content_with_another_sha256_is_not_completed(
    service: Service, user: User
) -> None:
    made = await make_asset(user, os.urandom(LARGE))
    await tamper(service, made.id, os.urandom(LARGE))
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await user.http.get(f"/v1/assets/{made.id}/content")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await user.http.post("/v1/assets/archive", json={"asset_ids": [made.id]})


@pytest.mark.parametrize(("before", "after"), [(100, 99), (100, 101), (100, 0), (0, 1)])
async def test_content_of_another_size_is_refused(
    service: Service, user: User, before: int, after: int
) -> None:
    made = await make_asset(user, bytes(before))
    path = f"/v1/assets/{made.id}/content"
    await tamper(service, made.id, bytes(after))
    assert_corrupt(await user.http.get(path))
    assert (await user.http.head(path)).status_code == 409
    if before:
        assert_corrupt(await user.http.get(path, headers={"Range": "bytes=0-9"}))


@pytest.mark.parametrize("size", [0, 100])
async def test_lost_content_is_reported_by_get_and_head(
    service: Service, user: User, size: int
) -> None:
    made = await make_asset(user, bytes(size))
    path = f"/v1/assets/{made.id}/content"
    await tamper(service, made.id, None)
    lost = await user.http.get(path)
    assert (lost.status_code, lost.json()["code"]) == (409, "content_missing")
    assert (await user.http.head(path)).status_code == 409


async def test_an_object_of_an_earlier_release_is_compared_by_size(
    service: Service, user: User
) -> None:
    """The previous release stores no ETag; its replacements make a stored one unknown."""
    made = await make_asset(user, b"hello")
    path = f"/v1/assets/{made.id}/content"
    await tamper(service, made.id, b"hallo")
    for statement in (
        "update assets set object_etag = null where id = $1",
        "update assets set object_etag = 'x' where id = $1",
        "update assets set version = version where id = $1",
    ):
        await service.run(service.db.pool.execute(statement, made.id))
        known = "'x'" in statement
        reply = await user.http.get(path, headers={"Range": "bytes=0-0"})
        assert reply.status_code == (409 if known or "version" in statement else 206)
    moved = await user.http.get(path)
    assert_corrupt(moved)
