"""Tests of multipart uploads: reserve, put, resume, abort."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import TypeVar
from urllib.parse import urlsplit

import pytest

from tests.support.assets import fetch, journal, keys, make_asset, make_folder, put
from tests.support.multipart import (
    MIB,
    PART,
    SIZE,
    checked,
    complete,
    content_of,
    key_of,
    put_parts,
    reserve,
    state,
)
from tests.support.services import Service, User

CONTENT = b"".join(content_of(number) for number in range(1, 10))
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("sha256", [SHA256, None])
async def test_parts_go_straight_to_storage(
    service: Service, user: User, sha256: str | None
) -> None:
    asset_id, upload = await reserve(user, sha256=sha256)
    assert (upload.part_size, upload.part_count) == (PART, 9)
    assert [part.part_number for part in upload.parts] == list(range(1, 10))
    etags = await put_parts(upload)
    assert f"{await key_of(service, asset_id)}" not in await keys(service)
    pending = (await user.http.get(f"/v1/assets/{asset_id}/content")).json()
    assert pending["code"] == "upload_incomplete"
    done = await complete(user, asset_id, etags if sha256 else None)
    assert (done.status_code, done.json()["status"]) == (200, "ready"), done.text
    assert (await fetch(done.json()["get_url"])).content == CONTENT
    asset = await checked(user, asset_id)
    assert (asset["status"], asset["sha256"], asset["size"]) == ("ready", SHA256, SIZE)
    again = await complete(user, asset_id, etags)
    assert (again.status_code, again.json()["status"]) == (200, "ready")
    for method in ("GET", "DELETE"):
        reply = await user.http.request(method, f"/v1/assets/{asset_id}/upload")
        assert (reply.status_code, reply.json()["code"]) == (409, "upload_ended")


T = TypeVar("T")


async def first(items: AsyncIterator[T]) -> T:
    """Return the first item."""
    return await anext(items)


async def test_an_upload_of_up_to_64_mib_is_one_put(user: User) -> None:
    body = {"name": "a", "content_type": "text/plain", "size": 64 * MIB}
    for size, kind in ((64 * MIB, "put"), (64 * MIB + 1, "multipart")):
        reply = await user.http.post("/v1/assets/uploads", json={**body, "size": size})
        assert reply.json()["upload"]["kind"] == kind
        asset_id = reply.json()["asset"]["id"]
        standing = await user.http.get(f"/v1/assets/{asset_id}/upload")
        assert standing.json()["kind"] == kind


async def test_an_upload_is_resumed_with_the_missing_parts(user: User) -> None:
    asset_id, upload = await reserve(user)
    etags = await put_parts(upload, 2, 9)
    resumed = await state(user, asset_id)
    assert [(p.part_number, p.size, p.etag) for p in resumed.stored] == [
        (2, PART, etags[2].strip('"')),
        (9, 1, etags[9].strip('"')),
    ]
    assert [part.part_number for part in resumed.parts] == [1, 3, 4, 5, 6, 7, 8]
    await put_parts(resumed)
    assert (await state(user, asset_id)).parts == []
    assert (await complete(user, asset_id)).status_code == 200


async def test_urls_are_returned_for_the_requested_parts(user: User) -> None:
    asset_id, upload = await reserve(user, size=300 * PART)
    assert [part.part_number for part in upload.parts] == list(range(1, 101))
    for query, expected in (
        ({}, range(1, 101)),
        ({"from": 101}, range(101, 201)),
        ({"from": 299}, range(299, 301)),
        ({"from": 301}, range(0)),
        ({"from": 7, "limit": 3}, range(7, 10)),
        ({"limit": 1000}, range(1, 301)),
    ):
        asked = await state(user, asset_id, **query)
        assert [part.part_number for part in asked.parts] == list(expected)
    empty = await user.http.get(f"/v1/assets/{asset_id}/upload?from=&limit=")
    assert len(empty.json()["parts"]) == 100


@pytest.mark.parametrize(
    "query", ["from=0", "from=x", "from=10001", "limit=0", "limit=1001", "limit=-1"]
)
async def test_an_invalid_range_of_parts_is_refused(user: User, query: str) -> None:
    asset_id, _ = await reserve(user)
    reply = await user.http.get(f"/v1/assets/{asset_id}/upload?{query}")
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["loc"] == ["query", query.partition("=")[0]]


async def test_storage_refuses_a_part_of_another_length(service: Service, user: User) -> None:
    asset_id, upload = await reserve(user)
    for content in (b"", b"xx"):
        assert (await put(upload.parts[8].url, content)).status_code == 403
    await put_parts(upload, *range(1, 9))
    # This needs the credentials of the storage.
    bucket = service.storage.assets
    key = await key_of(service, asset_id)
    url = service.storage.presign_part(
        bucket,
        key,
        (await service.run(first(bucket.uploads.unfinished(key)))).upload_id,
        9,
        network="internal",
        expires_s=60,
        size=2,
    )
    assert (await put(url, b"xx")).status_code == 200
    reply = await complete(user, asset_id)
    assert (reply.status_code, reply.json()["code"]) == (409, "upload_incomplete")
    assert reply.json()["detail"].startswith("Part 9 has 2 bytes instead of 1")


async def test_an_aborted_upload_leaves_nothing(service: Service, user: User) -> None:
    asset_id, upload = await reserve(user)
    await put_parts(upload, 1, 9)
    key = await key_of(service, asset_id)
    assert f"unfinished {key}" in await keys(service)
    assert (await user.http.delete(f"/v1/assets/{asset_id}/upload")).status_code == 204
    assert not {key, f"unfinished {key}"} & await keys(service)
    assert (await put(upload.parts[8].url, b"x")).status_code == 404
    for method, path in (("GET", "upload"), ("POST", "complete"), ("DELETE", "upload")):
        reply = await user.http.request(method, f"/v1/assets/{asset_id}/{path}")
        assert reply.status_code == 404
    assert (key, "abort") in await journal(service)


@pytest.mark.parametrize("in_folder", [False, True])
async def test_deleting_a_pending_asset_removes_its_parts(
    service: Service, user: User, in_folder: bool
) -> None:
    folder = await make_folder(user)
    asset_id, upload = await reserve(user, parent_id=folder.id)
    await put_parts(upload, 9)
    key = await key_of(service, asset_id)
    path = f"/v1/assets/{folder.id}?recursive=true" if in_folder else f"/v1/assets/{asset_id}"
    assert (await user.http.delete(path)).status_code == 204
    assert f"unfinished {key}" not in await keys(service)
    assert (key, "abort") in await journal(service)


async def test_an_upload_whose_parts_storage_deleted_has_expired(
    service: Service, user: User
) -> None:
    asset_id, upload = await reserve(user)
    await put_parts(upload, 9)
    bucket = service.storage.assets
    await service.run(bucket.uploads.abort_all(await key_of(service, asset_id)))
    reply = await user.http.get(f"/v1/assets/{asset_id}/upload")
    assert (reply.status_code, reply.json()["code"]) == (409, "upload_expired")
    reply = await complete(user, asset_id)
    assert (reply.status_code, reply.json()["code"]) == (409, "upload_incomplete")
    assert (await user.http.delete(f"/v1/assets/{asset_id}/upload")).status_code == 204


async def test_someone_elses_upload_is_not_found(user: User, other: User) -> None:
    asset_id, _ = await reserve(user)
    for method, path in (("GET", "upload"), ("POST", "complete"), ("DELETE", "upload")):
        reply = await other.http.request(method, f"/v1/assets/{asset_id}/{path}")
        assert (reply.status_code, reply.json()["code"]) == (404, "asset_not_found")


async def test_a_refused_reservation_leaves_no_upload(service: Service, user: User) -> None:
    before = await keys(service)
    body = {"name": "a", "content_type": "video/mp4", "size": SIZE}
    file = await make_asset(user)
    for change, status in (
        ({"parent_id": file.id}, 422),
        ({"size": 10 * 1024 * MIB + 1}, 413),
        ({"size": 10**18}, 413),
        ({"size": 10**30}, 422),
    ):
        reply = await user.http.post("/v1/assets/uploads", json={**body, **change})
        assert reply.status_code == status, reply.text
    assert {key for key in await keys(service) - before if "unfinished" in key} == set()


async def test_a_replay_reserves_once(service: Service, user: User) -> None:
    headers = {"Idempotency-Key": "k"}
    asset_id, first = await reserve(user, headers=headers)
    replayed_id, again = await reserve(user, headers=headers)
    assert asset_id == replayed_id
    await put_parts(first, 1)
    await put_parts(again, 2, 3, 4, 5, 6, 7, 8, 9)
    unfinished = [key for key in await keys(service) if key.startswith(f"unfinished {asset_id}")]
    assert len(unfinished) == 1
    assert (await complete(user, asset_id)).status_code == 200
    _, over = await reserve(user, headers=headers)
    assert (over.part_count, over.parts) == (9, [])


async def test_part_urls_are_for_the_callers_network(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(s3_public_endpoint="https://files.example")
    async with await service.new_user() as user:
        asset_id, public = await reserve(user)
        assert {urlsplit(part.url).netloc for part in public.parts} == {"files.example"}
        user.http.headers["X-Storage-Network"] = "internal"
        assert service.settings.s3_endpoint
        inside = urlsplit(service.settings.s3_endpoint).netloc
        _, internal = await reserve(user)
        standing = await state(user, asset_id)
        for upload in (internal, standing):
            assert {urlsplit(part.url).netloc for part in upload.parts} == {inside}
        await put_parts(internal, 9)
