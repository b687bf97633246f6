"""SHA-256 of uploads in parts: declared before, stated at the end, verified afterwards."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.support.multipart import (
    SHA256,
    checked,
    complete,
    put_parts,
    reserve,
)
from tests.support.services import Service, User


@pytest.mark.parametrize("declared", [SHA256, None])
async def test_a_sha256_may_be_told_at_the_end(user: User, declared: str | None) -> None:
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


async def test_a_sha256_told_at_the_end_is_checked(user: User) -> None:
    asset_id, upload = await reserve(user)
    await put_parts(upload)
    body = {"sha256": hashlib.sha256(b"another").hexdigest()}
    assert (await user.http.post(f"/v1/assets/{asset_id}/complete", json=body)).status_code == 200
    asset = await checked(user, asset_id)
    assert (asset["status"], asset["sha256"], asset["get_url"]) == ("corrupt", SHA256, None)


async def test_a_lying_sha256_makes_the_asset_corrupt(user: User) -> None:
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


async def test_a_job_of_checks_passes_over_what_has_gone(service: Service, user: User) -> None:
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
