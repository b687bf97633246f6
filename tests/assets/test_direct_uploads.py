"""Tests of uploads by form."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.assets import form, journal, keys, make_asset, make_folder, names
from tests.support.services import Service, User, eventually

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


async def post(user: User, *, key: str | None = None, **options: Any) -> Any:
    """Post a form and return the response."""
    headers = {"Idempotency-Key": key} if key else {}
    return await user.http.post("/v1/assets", headers=headers, **form(**options))


async def test_name_and_type_default_to_those_of_the_file(user: User) -> None:
    made = await make_asset(user, b"x", file_name="ü 1.csv", file_type="text/csv")
    assert (made.name, made.content_type) == ("ü 1.csv", "text/csv")
    named = await make_asset(user, b"x", file_name="b.csv", name="mine", content_type="a/b")
    assert (named.name, named.content_type) == ("mine", "a/b")


@pytest.mark.parametrize(
    ("content", "file_name", "file_type", "expected"),
    [
        (PNG, "x", None, "image/png"),
        (PNG, "x.txt", "application/octet-stream", "image/png"),
        (b"RIFF1234WEBPVP8 ", "x", None, "image/webp"),
        (b"RIFF1234WAVEfmt ", "x", None, "audio/wav"),
        (b"plain", "notes.md", "application/octet-stream", "text/markdown"),
        (b"\x00\x01", "x", "application/octet-stream", "application/octet-stream"),
        (b"x", "x", "not a type", "application/octet-stream"),
        (b"<html>", "x", "text/html", "text/html"),
    ],
)
async def test_a_generic_type_is_detected(
    user: User, content: bytes, file_name: str, file_type: str | None, expected: str
) -> None:
    made = await make_asset(user, content, file_name=file_name, file_type=file_type)
    assert made.content_type == expected


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\con", "a/b", "\u202e.exe", "x" * 1000])
async def test_any_name_is_only_a_name(service: Service, user: User, name: str) -> None:
    made = await make_asset(user, name=name)
    assert made.name == name
    assert (await user.http.get(f"/v1/assets/{made.id}/content")).content == b"hello"
    assert all(set(key) <= set("0123456789abcdef/") for key in await keys(service))


@pytest.mark.parametrize(
    "options",
    [
        {"name": "a\x00b"},
        {"name": ""},
        {"name": "x" * 10_000},
        {"surprise": 1},
        {"content_type": "nonsense"},
        {"content_type": "folder", "name": "x"},
        {"metadata": []},
        {"metadata": "x"},
        {"node_id": "a\x00"},
        {"workflow_id": "x"},
        {"parent_id": "0" * 32},
        {"parent_id": "\x00"},
        {"content": None, "metadata": {}},
        {"content": None, "content_type": "folder"},
        {"content": None, "name": "x", "content_type": "text/plain"},
        {"file_name": "x" * 1001},
    ],
)
async def test_an_invalid_form_is_refused(
    service: Service, user: User, options: dict[str, Any]
) -> None:
    before = await keys(service)
    reply = await post(user, **options)
    assert reply.status_code == 422, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert await names(user) == []
    assert await keys(service) == before
    assert await journal(service) == []


async def test_deep_or_malformed_json_is_refused(user: User) -> None:
    deep = b'{"metadata":' + b'{"a":' * 300 + b"1" + b"}" * 301
    for text, status in ((deep, 422), (b"{", 400), (b"\xff", 400), (b'{"name":"\\ud800"}', 400)):
        files = [("json", (None, text)), ("file", ("a", b"x"))]
        reply = await user.http.post("/v1/assets", files=files)
        assert reply.status_code == status, text


@pytest.mark.parametrize(
    "parts",
    [
        [("file", ("a", b"x")), ("json", (None, b"{}"))],
        [("file", ("a", b"x")), ("file", ("b", b"y"))],
        [("json", (None, b"{}")), ("json", (None, b"{}")), ("file", ("a", b"x"))],
        [("other", (None, b"x")), ("file", ("a", b"x"))],
    ],
)
async def test_duplicate_or_misplaced_parts_are_refused(
    service: Service, user: User, parts: list[Any]
) -> None:
    reply = await user.http.post("/v1/assets", files=parts)
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_asset")
    assert await names(user) == []
    assert await journal(service) == []


BOUNDARY = {"Content-Type": "multipart/form-data; boundary=b"}
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"x", {}),
        (b"{}", {"Content-Type": "application/json"}),
        (b"", {"Content-Type": "multipart/form-data"}),
        (b"", BOUNDARY),
        (b"nonsense", BOUNDARY),
        (HEAD + b"bytes", BOUNDARY),
        (HEAD + b"bytes\r\n--b\r\n", BOUNDARY),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", BOUNDARY),
        (b"--b\r\n" + b"X: " + b"y" * 100_000, BOUNDARY),
        (b"x", {"Content-Type": f"multipart/form-data; boundary={'b' * 300}"}),
    ],
)
async def test_a_broken_form_stores_nothing(
    service: Service, user: User, content: bytes, headers: dict[str, str]
) -> None:
    before = await keys(service)
    reply = await user.http.post("/v1/assets", content=content, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (400, "malformed_form")
    assert await names(user) == []
    assert await keys(service) == before
    assert await journal(service) == []


@pytest.mark.parametrize("piece", [1, 7, 1000])
async def test_bytes_that_look_like_boundaries_arrive_whole(user: User, piece: int) -> None:
    content = b"\r\n--b\r\n--b-\r\n\r--\r\n-" * 50
    body = HEAD.replace(b"--b", b"--bb") + content + b"\r\n--bb--\r\n"

    async def pieces() -> Any:
        for first in range(0, len(body), piece):
            yield body[first : first + piece]

    headers = {"Content-Type": "multipart/form-data; boundary=bb"}
    reply = await user.http.post("/v1/assets", content=pieces(), headers=headers)
    assert reply.status_code == 201
    assert reply.json()["sha256"] == hashlib.sha256(content).hexdigest()


async def test_a_folder_holds_assets(user: User) -> None:
    folder = await make_folder(user, "f")
    assert (folder.content_type, folder.size, folder.get_url) == ("folder", 0, None)
    below = await make_asset(user, parent_id=folder.id)
    assert below.parent_id == folder.id
    reply = await post(user, parent_id=below.id)
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_parent")


async def test_a_body_over_the_limit_stores_nothing(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(max_upload_bytes=1_000_000)
    async with await service.new_user() as user:
        fits = await make_asset(user, bytes(1_000_000))
        assert fits.size == 1_000_000
        before = await keys(service)
        for size in (1_000_001, 20_000_000):
            reply = await post(user, content=bytes(size))
            assert (reply.status_code, reply.json()["code"]) == (413, "too_large")
            put = await user.http.put(f"/v1/assets/{fits.id}/content", content=bytes(size))
            assert put.status_code == 413
            temp = await user.http.post("/v1/temp", content=bytes(size))
            assert temp.status_code == 413
            body = {"name": "a", "content_type": "a/b", "size": size}
            assert (await user.http.post("/v1/assets/uploads", json=body)).status_code == 413

        async def chunked() -> Any:
            yield HEAD
            for _ in range(20):
                yield bytes(100_000)

        reply = await user.http.post("/v1/assets", content=chunked(), headers=BOUNDARY)
        assert reply.status_code == 413
        assert await names(user) == [fits.name]
        assert await keys(service) == before
        assert await journal(service) == []


async def test_a_replay_returns_the_first_asset(service: Service) -> None:
    async with await service.new_user() as user:
        first = await post(user, key="k", content=b"one", name="n")
        assert "idempotent-replay" not in first.headers
        await user.http.patch(f"/v1/assets/{first.json()['id']}", json={"name": "renamed"})
        again = await post(user, key="k", content=b"one", name="n")
        assert (again.status_code, again.headers["idempotent-replay"]) == (201, "true")
        assert (again.json()["id"], again.json()["name"]) == (first.json()["id"], "renamed")
        for changed in ({"content": b"two", "name": "n"}, {"content": b"one", "name": "m"}):
            reused = await post(user, key="k", **changed)
            assert reused.json()["code"] == "idempotency_key_reused"
            assert reused.status_code == 422
        assert await names(user) == ["renamed"]
        assert await journal(service) == []


async def test_a_failure_frees_the_key(user: User) -> None:
    failed = await post(user, key="k", name="")
    assert failed.status_code == 422
    assert (await post(user, key="k", name="good")).status_code == 201


async def test_a_key_in_use_is_in_flight(service: Service, user: User) -> None:
    more = asyncio.Event()

    async def slow() -> Any:
        yield HEAD + b"first"
        await more.wait()
        yield b"second\r\n--b--\r\n"

    headers = {**BOUNDARY, "Idempotency-Key": "slow"}
    first = asyncio.create_task(user.http.post("/v1/assets", content=slow(), headers=headers))
    pool = service.db.pool
    at_work = "select count(*) from idempotency_keys where user_id = $1 and key = 'slow'"

    async def is_at_work() -> bool:
        return bool(await service.run(pool.fetchval(at_work, user.id)))

    await eventually(is_at_work)
    second = await user.http.post("/v1/assets", headers={"Idempotency-Key": "slow"}, **form())
    assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_flight")
    more.set()
    assert (await first).status_code == 201


async def test_concurrent_requests_with_one_key_create_one_asset(service: Service) -> None:
    async with await service.new_user() as user:
        replies = await asyncio.gather(*(post(user, key="many") for _ in range(10)))
        codes = {reply.status_code for reply in replies}
        assert codes <= {201, 409}
        assert 201 in codes
        assert len(await names(user)) == 1


async def test_a_missing_token_is_refused_before_the_body_is_read(service: Service) -> None:
    async with service.client(token="nonsense") as nobody:
        reply = await nobody.post("/v1/assets", content=b"x" * 1000, headers=BOUNDARY)
    assert reply.status_code == 401
