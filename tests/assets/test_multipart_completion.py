"""Tests of the completion of multipart uploads: parts, checksums, concurrent requests."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from tests.support.assets import fetch, put
from tests.support.multipart import (
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


async def test_a_missing_part_is_in_the_message(user: User) -> None:
    asset_id, upload = await reserve(user)
    etags = await put_parts(upload, 1, 9)
    for named, says in (
        (None, "parts 2-8 of 9"),
        (etags, "parts 2-8 of 9"),
        ({}, "parts 1-9 of 9"),
        ({n: etags.get(n, "x") for n in range(1, 10) if n != 3}, "part 3 of 9"),
        ({n: etags.get(n, "x") for n in range(1, 10)}, "parts 2-8 of 9"),
    ):
        reply = await complete(user, asset_id, named)
        assert (reply.status_code, reply.json()["code"]) == (409, "upload_incomplete")
        assert says in reply.json()["detail"]
    assert (await user.http.get(f"/v1/assets/{asset_id}")).json()["status"] == "pending"
    assert len((await state(user, asset_id)).stored) == 2


async def test_a_wrong_etag_is_in_the_message(user: User) -> None:
    asset_id, upload = await reserve(user)
    etags = await put_parts(upload)
    reply = await complete(user, asset_id, {**etags, 4: '"' + "0" * 32 + '"'})
    assert (reply.status_code, reply.json()["code"]) == (409, "upload_incomplete")
    assert "part 4 " in reply.json()["detail"]
    unquoted = {number: etag.strip('"') for number, etag in reversed(etags.items())}
    assert (await complete(user, asset_id, unquoted)).status_code == 200


@pytest.mark.parametrize("numbers", [[1, 1], [10], [0], [10_001]])
async def test_invalid_part_numbers_are_refused(user: User, numbers: list[int]) -> None:
    asset_id, _ = await reserve(user)
    parts = [{"part_number": number, "etag": "x"} for number in numbers]
    reply = await user.http.post(f"/v1/assets/{asset_id}/complete", json={"parts": parts})
    assert reply.status_code == 422


async def test_concurrent_completions_have_the_same_result(user: User) -> None:
    asset_id, upload = await reserve(user)
    etags = await put_parts(upload)
    replies = await asyncio.gather(
        *(complete(user, asset_id, etags if n % 2 else None) for n in range(8))
    )
    assert {(reply.status_code, reply.json().get("status")) for reply in replies} == {
        (200, "ready")
    }
    assert (await checked(user, asset_id))["sha256"] == SHA256


async def test_a_crash_between_storage_and_row_is_recovered(service: Service, user: User) -> None:
    asset_id, upload = await reserve(user)
    etags = await put_parts(upload)
    assert (await complete(user, asset_id, etags)).status_code == 200
    pool = service.db.pool
    undo = "update assets set status = 'pending', upload_id = 'over', sha256_due = null"
    await service.run(pool.execute(f"{undo} where id = $1", asset_id))
    reply = await user.http.get(f"/v1/assets/{asset_id}/upload")
    assert (reply.status_code, reply.json()["code"]) == (409, "upload_ended")
    assert (await complete(user, asset_id, etags)).json()["status"] == "ready"


async def test_parts_that_storage_is_deleting_are_not_missing(service: Service, user: User) -> None:
    asset_id, upload = await reserve(user)
    etags = await put_parts(upload)
    assert (await complete(user, asset_id, etags)).status_code == 200
    # State of the second of two completions: object and upload exist, but some parts do not.
    app = service
    uploads = app.storage.assets.uploads
    key = await key_of(service, asset_id)
    upload_id = await service.run(uploads.begin(key))
    undo = "update assets set status = 'pending', upload_id = $2, sha256_due = null where id = $1"
    await service.run(app.db.pool.execute(undo, asset_id, upload_id))
    assert (await complete(user, asset_id, etags)).json()["status"] == "ready"
    await service.run(uploads.abort(key, upload_id))


@pytest.mark.parametrize("declared", [SHA256, None])
async def test_a_sha256_may_be_given_at_completion(user: User, declared: str | None) -> None:
    asset_id, upload = await reserve(user, sha256=declared)
    await put_parts(upload)
    path = f"/v1/assets/{asset_id}/complete"
    if declared:
        wrong = await user.http.post(path, json={"sha256": "0" * 64})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "checksum_mismatch")
    for _ in range(2):
        done = await user.http.post(path, json={"sha256": SHA256})
        assert (done.status_code, done.json()["status"]) == (200, "ready"), done.text
    other = await user.http.post(path, json={"sha256": "0" * 64})
    assert (other.status_code, other.json()["code"]) == (422, "checksum_mismatch")
    asset = await checked(user, asset_id)
    assert (asset["status"], asset["sha256"]) == ("ready", SHA256)


async def test_a_sha256_given_at_completion_is_verified(user: User) -> None:
    asset_id, upload = await reserve(user)
    await put_parts(upload)
    body = {"sha256": hashlib.sha256(b"another").hexdigest()}
    assert (await user.http.post(f"/v1/assets/{asset_id}/complete", json=body)).status_code == 200
    asset = await checked(user, asset_id)
    assert (asset["status"], asset["sha256"], asset["get_url"]) == ("corrupt", SHA256, None)


async def test_old_urls_cannot_change_a_completed_object(user: User) -> None:
    asset_id, upload = await reserve(user)
    await put_parts(upload)
    done = await complete(user, asset_id)
    for part in (upload.parts[0], upload.parts[8]):
        evil = b"e" * len(content_of(part.part_number))
        assert (await put(part.url, evil)).status_code == 404
    assert (await fetch(done.json()["get_url"])).content == CONTENT


async def test_a_wrong_declared_sha256_makes_the_asset_corrupt(user: User) -> None:
    asset_id, upload = await reserve(user, sha256="0" * 64)
    await put_parts(upload)
    done = await complete(user, asset_id)
    assert (done.json()["status"], done.json()["sha256"]) == ("ready", None)
    asset = await checked(user, asset_id)
    assert (asset["status"], asset["sha256"], asset["get_url"]) == ("corrupt", SHA256, None)
    for path in ("content", "content?redirect=true", "url"):
        reply = await user.http.get(f"/v1/assets/{asset_id}/{path}")
        assert (reply.status_code, reply.json()["code"]) == (409, "asset_corrupt")
    reply = await complete(user, asset_id)
    assert (reply.status_code, reply.json()["code"]) == (409, "asset_corrupt")
    urls = await user.http.post("/v1/urls", json={"asset_ids": [asset_id]})
    assert urls.json()["urls"] == {}
    replaced = await user.http.put(f"/v1/assets/{asset_id}/content", content=b"good")
    assert (replaced.status_code, replaced.json()["status"]) == (200, "ready")
    assert replaced.json()["sha256"] == hashlib.sha256(b"good").hexdigest()


async def test_the_verification_skips_deleted_assets(service: Service, user: User) -> None:
    asset_id, upload = await reserve(user)
    await put_parts(upload)
    assert (await complete(user, asset_id)).status_code == 200
    await checked(user, asset_id)
    pool = service.db.pool

    async def lose() -> Any:
        key = await pool.fetchval("select id || '/' || version from assets where id = $1", asset_id)
        await service.storage.assets.delete([key])
        await pool.execute("update assets set sha256_due = now() where id = $1", asset_id)

    await service.run(lose())
    second, upload = await reserve(user)
    await put_parts(upload)
    assert (await complete(user, second)).status_code == 200
    assert (await checked(user, second))["sha256"] == SHA256
    lost = (await user.http.get(f"/v1/assets/{asset_id}")).json()
    assert (lost["status"], lost["sha256"]) == ("ready", None)
    reply = await user.http.get(f"/v1/assets/{asset_id}/content")
    assert (reply.status_code, reply.json()["code"]) == (409, "content_missing")
