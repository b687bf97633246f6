"""Tests of the import of assets from URLs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio

from app.settings import Settings
from tests.support.assets import journal, keys, make_folder, names
from tests.support.misbehaving_server import Trickster, listening, redirect, reply
from tests.support.services import Service, User

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
MAX_BYTES = 20_000_000


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Trickster]:
    async with listening() as trickster:
        yield trickster


@pytest_asyncio.fixture
async def importer(start_service: Callable[..., Service]) -> AsyncIterator[tuple[Service, User]]:
    """User of a service that may download from loopback."""
    service = start_service(fetch_allow=("127.0.0.1",), max_upload_bytes=MAX_BYTES)
    async with await service.new_user() as user:
        yield service, user


async def post(user: User, url: str, *, key: str | None = None, **body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await user.http.post("/v1/assets/import", json={"url": url, **body}, headers=headers)


async def test_a_file_is_imported_with_its_name_and_type(
    server: Trickster, importer: tuple[Service, User]
) -> None:
    _, user = importer
    content = bytes(range(256)) * 50_000
    server.answers["/data%20set.csv?x=1"] = reply(content, Content_Type="text/csv")
    made = await post(user, server.url("/data set.csv?x=1", host="127.0.0.1"))
    assert made.status_code == 201, made.text
    asset = made.json()
    assert made.headers["location"] == f"/v1/assets/{asset['id']}"
    assert (asset["name"], asset["content_type"]) == ("data set.csv", "text/csv")
    assert (asset["size"], asset["status"]) == (len(content), "ready")
    assert asset["sha256"] == hashlib.sha256(content).hexdigest()
    stored = await user.http.get(f"/v1/assets/{asset['id']}/content")
    assert stored.content == content


UNKNOWN = "application/octet-stream"


def attached(file_name: str) -> dict[str, str]:
    return {"Content_Disposition": f"attachment; {file_name}"}


async def test_name_and_type_are_taken_from_headers_or_url(
    server: Trickster, importer: tuple[Service, User]
) -> None:
    _, user = importer
    cases: list[tuple[str, bytes, dict[str, str], str, str]] = [
        ("/a/b", PNG, {}, "b", "image/png"),
        ("/a/", b"x", {"Content_Type": "text/html; charset=a"}, "a", "text/html; charset=a"),
        ("/a/", b"x", {"Content_Type": "not a type"}, "a", UNKNOWN),
        ("/", b"x", {}, "127.0.0.1", UNKNOWN),
        ("/x", b"x", attached('filename="y.md"'), "y.md", "text/markdown"),
        ("/x", b"x", attached("filename=e; filename*=UTF-8''%e2%82%ac.csv"), "€.csv", "text/csv"),
        ("/x", b"x", attached('filename="../../etc/passwd"'), "passwd", UNKNOWN),
        ("/x", b"x", attached('filename="C:\\\\a\\\\b.txt"'), "b.txt", "text/plain"),
        ("/x", b"x", attached('filename=".."'), "x", UNKNOWN),
        ("/%2e%2e%2fsecret%00.txt", b"x", {}, "secret_.txt", "text/plain"),
    ]
    for path, content, headers, name, content_type in cases:
        server.answers[path] = reply(content, **headers)
        made = await post(user, server.url(path, host="127.0.0.1"))
        assert made.status_code == 201, (path, made.text)
        assert (made.json()["name"], made.json()["content_type"]) == (name, content_type)


async def test_name_and_type_of_the_request_take_precedence(
    server: Trickster, importer: tuple[Service, User]
) -> None:
    _, user = importer
    folder = await make_folder(user)
    server.answers["/x"] = reply(PNG, Content_Type="text/plain", **attached("filename=y"))
    body = {"name": "mine", "content_type": "a/b", "parent_id": folder.id}
    made = (await post(user, server.url("/x", host="127.0.0.1"), **body)).json()
    assert {name: made[name] for name in body} == body


async def test_the_same_key_downloads_once(
    server: Trickster, importer: tuple[Service, User]
) -> None:
    _, user = importer
    url = server.url("/x", host="127.0.0.1")
    first = await post(user, url, key="k")
    again = await post(user, url, key="k")
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["idempotent-replay"] == "true"
    assert len(server.requests) == 1
    other = await post(user, url, key="k", name="other")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_failed_download_leaves_nothing(
    server: Trickster, importer: tuple[Service, User]
) -> None:
    service, user = importer

    async def break_off(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 19000000\r\n\r\n")
        writer.write(bytes(18_000_000))
        await writer.drain()

    async def too_much(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.write(bytes(MAX_BYTES + 1))
        await writer.drain()

    server.answers |= {
        "/missing": reply(b"", 404),
        "/broken": break_off,
        "/large": reply(b"", Content_Length=str(MAX_BYTES + 1)),
        "/larger": too_much,
        "/inside": redirect("http://169.254.169.254/latest/meta-data/"),
        "/local": redirect(f"http://127.0.0.2:{server.port}/"),
    }
    for path, status, code in [
        ("/missing", 422, "url_unreachable"),
        ("/broken", 422, "url_unreachable"),
        ("/large", 413, "too_large"),
        ("/larger", 413, "too_large"),
        ("/inside", 422, "url_not_allowed"),
        ("/local", 422, "url_not_allowed"),
    ]:
        refused = await post(user, server.url(path, host="127.0.0.1"), key=path)
        assert (refused.status_code, refused.json()["code"]) == (status, code), path
    assert await names(user) == []
    assert await keys(service) == set()
    assert await journal(service) == []
    server.answers["/missing"] = reply(b"now it is there")
    assert (await post(user, server.url("/missing", host="127.0.0.1"), key="/missing")).is_success


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "data:text/plain,x"}, "url_not_allowed"),
        ({"url": "file:///etc/passwd"}, "url_not_allowed"),
        ({"url": "http://127.0.0.1/"}, "url_not_allowed"),
        ({"url": "http://localhost/"}, "url_not_allowed"),
        ({"url": "http://me:secret@8.8.8.8/"}, "url_not_allowed"),
        ({"url": "http://8.8.8.8/", "content_type": "folder"}, "invalid_asset"),
        ({"url": "http://8.8.8.8/", "parent_id": "0" * 32}, "invalid_parent"),
        ({"url": "http://8.8.8.8/", "name": ""}, "validation_error"),
        ({"url": ""}, "validation_error"),
        ({}, "validation_error"),
        ({"url": "http://8.8.8.8/", "surprise": 1}, "validation_error"),
    ],
)
async def test_an_invalid_request_is_refused(user: User, body: dict[str, Any], code: str) -> None:
    refused = await user.http.post("/v1/assets/import", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, code)


def test_the_allowed_addresses_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTEXT_FETCH_ALLOW", "10.0.0.0/8, files.internal")
    assert Settings().fetch_allow == ("10.0.0.0/8", "files.internal")
    monkeypatch.setenv("CONTEXT_FETCH_ALLOW", "10.0.0.1/8")
    with pytest.raises(ValueError, match="not a CIDR"):
        Settings()
