"""Tests of the routes of temporary files."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest

from processing_context.wire.assets import TempAsset
from tests.support.assets import fetch, journal, keys, put
from tests.support.services import Service, User


async def make(user: User, content: bytes = b"hello", **options: Any) -> TempAsset:
    """Create a temporary file."""
    reply = await user.http.post("/v1/temp", content=content, **options)
    assert reply.status_code == 201, reply.text
    return TempAsset.model_validate(reply.json())


async def expire(service: Service, temp_id: str) -> None:
    """Expire a file."""
    statement = "update temp_files set expires_at = now() where id = $1"
    await service.run(service.db.pool.execute(statement, temp_id))


async def test_a_file_is_returned_as_it_was_created(user: User) -> None:
    made = await make(user, params={"ext": "PNG"})
    assert re.fullmatch(r"[0-9a-f]{32}\.png", made.id)
    assert (made.size, made.content_type, made.put_url) == (5, "image/png", None)
    assert made.get_url
    assert (await fetch(made.get_url)).content == b"hello"
    lifetime = made.expires_at - datetime.now(made.expires_at.tzinfo)
    assert 23.9 * 3600 < lifetime.total_seconds() < 24.1 * 3600
    got = await user.http.get(f"/v1/temp/{made.id}")
    assert got.json()["expires_at"] == made.expires_at.isoformat().replace("+00:00", "Z")
    content = await user.http.get(f"/v1/temp/{made.id}/content", headers={"Range": "bytes=1-2"})
    assert (content.status_code, content.content) == (206, b"el")
    redirect = await user.http.get(f"/v1/storage/temp/{made.id}")
    assert redirect.status_code == 307
    assert (await fetch(redirect.headers["location"])).content == b"hello"


@pytest.mark.parametrize(
    ("content", "ext", "claimed", "id_end", "content_type"),
    [
        (b"\x89PNG\r\n\x1a\n", "", None, ".png", "image/png"),
        (b"x", "", "text/csv", ".csv", "text/csv"),
        (b"x", ".txt", None, ".txt", "text/plain"),
        (b"x", "", None, ".bin", "application/octet-stream"),
        (b"", "", None, ".bin", "application/octet-stream"),
        (b"x", "json", "application/x-www-form-urlencoded", ".json", "application/json"),
    ],
)
async def test_extension_and_type_are_derived_from_each_other(
    user: User, content: bytes, ext: str, claimed: str | None, id_end: str, content_type: str
) -> None:
    headers = {"Content-Type": claimed} if claimed else {}
    made = await make(user, content, params={"ext": ext}, headers=headers)
    assert made.id.endswith(id_end)
    assert made.content_type == content_type


@pytest.mark.parametrize("ext", ["../x", "a.b", "x" * 17, "é", "a\n", "\x00"])
async def test_an_extension_is_letters_and_digits(user: User, ext: str) -> None:
    reply = await user.http.post("/v1/temp", params={"ext": ext}, content=b"x")
    assert reply.status_code == 422
    reply = await user.http.post("/v1/temp/uploads", json={"ext": ext})
    assert reply.status_code == 422


async def test_an_expired_file_is_gone(service: Service, user: User) -> None:
    made = await make(user)
    await expire(service, made.id)
    for path in (f"temp/{made.id}", f"temp/{made.id}/content", f"storage/temp/{made.id}"):
        reply = await user.http.get(f"/v1/{path}")
        assert (reply.status_code, reply.json()["code"]) == (410, "temp_expired")
    urls = await user.http.post("/v1/urls", json={"temp_ids": [made.id]})
    assert urls.json() == {"urls": {}}
    assert (await user.http.delete(f"/v1/temp/{made.id}")).status_code == 410


async def test_a_deleted_file_is_gone_with_its_bytes(service: Service, user: User) -> None:
    made = await make(user)
    assert (await user.http.delete(f"/v1/temp/{made.id}")).status_code == 204
    assert (await user.http.delete(f"/v1/temp/{made.id}")).status_code == 404
    assert made.id not in await keys(service, "temp")
    assert await journal(service) == []


@pytest.mark.parametrize("id_", ["x", "0" * 32, "0" * 32 + ".png", "%00", "..%2Fx"])
async def test_a_missing_file_is_not_found(user: User, id_: str) -> None:
    for method, path in (
        ("GET", f"temp/{id_}"),
        ("DELETE", f"temp/{id_}"),
        ("GET", f"temp/{id_}/content"),
        ("GET", f"storage/temp/{id_}"),
    ):
        assert (await user.http.request(method, f"/v1/{path}")).status_code == 404


async def test_someone_elses_file_is_not_found(service: Service, user: User, other: User) -> None:
    theirs = await make(other)
    for _ in range(2):
        for path in (f"temp/{theirs.id}", f"temp/{theirs.id}/content", f"storage/temp/{theirs.id}"):
            refused = await user.http.get(f"/v1/{path}")
            assert refused.status_code == 404
            assert refused.json()["detail"] == f"Temporary file {theirs.id} was not found."
        assert (await user.http.delete(f"/v1/temp/{theirs.id}")).status_code == 404
        await expire(service, theirs.id)


async def test_bytes_go_straight_to_storage(service: Service, user: User) -> None:
    body = {"ext": "txt", "size": 5}
    reserved = TempAsset.model_validate(
        (await user.http.post("/v1/temp/uploads", json=body)).json()
    )
    assert (reserved.get_url, reserved.size, reserved.content_type) == (None, 5, "text/plain")
    assert reserved.put_url
    early = await user.http.get(f"/v1/temp/{reserved.id}/content")
    assert (early.status_code, early.json()["code"]) == (409, "upload_incomplete")
    assert (await put(reserved.put_url, b"too long")).status_code == 403
    assert (await put(reserved.put_url, b"hello")).status_code == 200
    got = TempAsset.model_validate((await user.http.get(f"/v1/temp/{reserved.id}")).json())
    assert (got.size, got.put_url) == (5, None)
    assert got.get_url
    assert (await fetch(got.get_url)).content == b"hello"
    assert (await user.http.get(f"/v1/temp/{reserved.id}/content")).content == b"hello"
    assert (await user.http.delete(f"/v1/temp/{reserved.id}")).status_code == 204
    # The URL to put the file is still valid.
    assert [op for key, op in await journal(service) if key == reserved.id] == ["delete"]


async def test_an_undeclared_size_is_read_from_storage(user: User) -> None:
    reserved = (await user.http.post("/v1/temp/uploads", json={})).json()
    assert reserved["size"] is None
    assert (await put(reserved["put_url"], b"1234567")).status_code == 200
    assert (await user.http.get(f"/v1/temp/{reserved['id']}")).json()["size"] == 7


async def test_a_replay_returns_the_first_file(user: User) -> None:
    headers = {"Idempotency-Key": "k"}
    first = await make(user, headers=headers)
    again = await user.http.post("/v1/temp", content=b"hello", headers=headers)
    assert (again.json()["id"], again.headers["idempotent-replay"]) == (first.id, "true")
    other = await user.http.post("/v1/temp", content=b"other", headers=headers)
    assert other.json()["code"] == "idempotency_key_reused"
    body: dict[str, Any] = {"ext": "txt"}
    ids = [
        (await user.http.post("/v1/temp/uploads", json=body, headers=headers)).json()["id"]
        for _ in range(2)
    ]
    assert ids[0] == ids[1]
