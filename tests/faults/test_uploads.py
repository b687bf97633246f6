"""Uploads when something goes wrong: callers that hang up, storage away, crashes; and memory."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from app.settings import Settings
from app.storage.due_deletions import DueDeletions
from tests.support.assets import form, journal, keys, make_asset, names, s3
from tests.support.gates import Gate
from tests.support.processes import TOKEN, forget_peak, peak_bytes, running_service
from tests.support.services import WAIT_S, Service, User, eventually, free_port

MIB = 1024 * 1024
HEAD = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n"
)
TAIL = b"\r\n--b--\r\n"


def open_upload(url: str, token: str, method: str, path: str, length: int) -> socket.socket:
    """Send the head of a request by hand."""
    parts = urlsplit(url)
    assert parts.port
    connection = socket.create_connection(("127.0.0.1", parts.port))
    kind = "multipart/form-data; boundary=b" if method == "POST" else "image/png"
    connection.sendall(
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode()
    )
    return connection


async def is_announced(service: Service) -> bool:
    """Return True if the journal has an entry for the running upload."""
    return [op for _, op in await journal(service)] == ["put"]


async def is_settled(service: Service) -> bool:
    """Return True if there is nothing left to do."""
    return await journal(service) == []


async def fall_due(service: Service, keys: str = "%") -> None:
    """Let entries of the journal fall due, and work off what the service itself does not."""
    state = service
    statement = "update storage_journal set due_at = now() where key like $1"
    await service.run(state.db.pool.execute(statement, keys))
    await service.run(state.get(DueDeletions).process())


@pytest.mark.parametrize("sent_mib", [1, 20])
@pytest.mark.parametrize("kind", ["create", "replace", "temp"])
async def test_a_caller_who_hangs_up_leaves_nothing(
    service: Service, user: User, sent_mib: int, kind: str
) -> None:
    made = await make_asset(user, b"before")
    before = await keys(service) | await keys(service, "temp")
    method, path = {
        "create": ("POST", "/v1/assets"),
        "replace": ("PUT", f"/v1/assets/{made.id}/content"),
        "temp": ("POST", "/v1/temp"),
    }[kind]

    def send() -> socket.socket:
        connection = open_upload(service.url, user.token, method, path, 100 * MIB)
        connection.sendall(HEAD if kind == "create" else b"")
        for _ in range(sent_mib):
            connection.sendall(bytes(MIB))
        return connection

    with await asyncio.to_thread(send):
        await eventually(lambda: is_announced(service))
    await eventually(lambda: is_settled(service))
    assert await keys(service) | await keys(service, "temp") == before
    assert await names(user) == [made.name]
    assert (await user.http.get(f"/v1/assets/{made.id}/content")).content == b"before"


async def test_an_upload_is_seen_only_when_it_is_whole(service: Service, user: User) -> None:
    content = os.urandom(20 * MIB)
    body = HEAD + content + TAIL
    connection = await asyncio.to_thread(
        open_upload, service.url, user.token, "POST", "/v1/assets", len(body)
    )
    with connection:
        await asyncio.to_thread(connection.sendall, body[: 15 * MIB])
        assert await names(user) == []
        assert [op for _, op in await journal(service)] == ["put"]
        await asyncio.to_thread(connection.sendall, body[15 * MIB :])
        reply = await asyncio.to_thread(connection.recv, 100)
    assert b" 201 " in reply
    listed = (await user.http.get("/v1/assets")).json()["assets"]
    assert [asset["sha256"] for asset in listed] == [hashlib.sha256(content).hexdigest()]
    got = await user.http.get(f"/v1/assets/{listed[0]['id']}/content")
    assert got.content == content
    assert await journal(service) == []


async def test_an_upload_that_a_crash_cut_off_is_cleaned_up_when_its_time_is_over(
    service: Service,
) -> None:
    state = service

    async def crash() -> None:
        pool = state.db.pool
        await pool.execute(
            "insert into storage_journal values "
            "('assets', 'cut/whole', 'put', now() + interval '1 h'),"
            "('assets', 'cut/parts', 'put', now() + interval '1 h'),"
            "('assets', 'young', 'put', now() + interval '1 h')"
        )
        for key in ("cut/whole", "young"):
            async with state.storage.assets.upload(key, "user") as upload:
                await upload.write(b"bytes")

    await service.run(crash())
    s3(service.settings)._create_multipart_upload(state.storage.assets.name, "cut/parts", {})
    assert {"cut/whole", "unfinished cut/parts"} <= await keys(service)
    await fall_due(service, "cut/%")
    await eventually(lambda: is_announced(service))
    left = await keys(service)
    assert not any("cut" in key for key in left)
    assert "young" in left
    await fall_due(service)
    await eventually(lambda: is_settled(service))
    assert "young" not in await keys(service)


async def test_an_upload_whose_time_was_over_does_not_make_a_row(
    service: Service, user: User
) -> None:
    body = HEAD + b"bytes" + TAIL
    connection = await asyncio.to_thread(
        open_upload, service.url, user.token, "POST", "/v1/assets", len(body)
    )
    with connection:
        await asyncio.to_thread(connection.sendall, body[:-10])
        await eventually(lambda: is_announced(service))
        await fall_due(service)
        await eventually(lambda: is_settled(service))
        await asyncio.to_thread(connection.sendall, body[-10:])
        reply = await asyncio.to_thread(connection.recv, 100)
    assert b" 503 " in reply
    assert await names(user) == []


@pytest.fixture
def gate(stack: Settings) -> Iterator[Gate]:
    """The way to storage."""
    assert stack.s3_endpoint
    with Gate(stack.s3_endpoint) as made:
        yield made


async def test_storage_away_is_told_and_nothing_is_lost(
    start_service: Callable[..., Service], gate: Gate
) -> None:
    service = start_service(s3_endpoint=f"http://127.0.0.1:{gate.port}")
    async with await service.new_user() as user:
        kept = await make_asset(user, b"kept")
        doomed = await make_asset(user, b"doomed")
        reserved = await user.http.post(
            "/v1/assets/uploads", json={"name": "a", "content_type": "a/b", "size": 1}
        )
        gate.shut()
        for method, path, options in (
            ("POST", "/v1/assets", form()),
            ("POST", "/v1/assets", form(bytes(20 * MIB))),
            ("PUT", f"/v1/assets/{kept.id}/content", {"content": b"x"}),
            ("GET", f"/v1/assets/{kept.id}/content", {}),
            ("POST", f"/v1/assets/{reserved.json()['asset']['id']}/complete", {}),
            ("POST", "/v1/temp", {"content": b"x"}),
        ):
            reply = await user.http.request(method, path, **options)
            assert (reply.status_code, reply.json()["code"]) == (503, "storage_unavailable")
            assert int(reply.headers["retry-after"]) > 0
            assert service.settings.s3_asset_bucket not in reply.text
            assert str(gate.port) not in reply.text
        assert (await user.http.get(f"/v1/assets/{kept.id}")).status_code == 200
        assert (await user.http.delete(f"/v1/assets/{doomed.id}")).status_code == 204
        await fall_due(service)
        assert len(await journal(service)) == 5
        gate.open()

        async def is_caught_up() -> bool:
            await fall_due(service)
            return await is_settled(service)

        await eventually(is_caught_up)
        assert {key.partition("/")[0] for key in await keys(service)} == {kept.id}
        assert await journal(service) == []
        assert (await user.http.get(f"/v1/assets/{kept.id}/content")).content == b"kept"
        assert await names(user) == [kept.name]


async def test_memory_stays_flat_however_large_the_file(
    new_settings: Callable[..., Settings],
) -> None:
    settings = new_settings(port=free_port())
    size = 200 * MIB
    piece = os.urandom(MIB)

    async def body() -> AsyncIterator[bytes]:
        yield HEAD
        for _ in range(size // MIB):
            yield piece
        yield TAIL

    with running_service(settings) as process:
        base_url = f"http://127.0.0.1:{settings.port}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=WAIT_S) as http:
            await http.post("/v1/assets", **form(bytes(20 * MIB)))
            forget_peak(process.pid)
            before = peak_bytes(process.pid)
            kind = {"Content-Type": "multipart/form-data; boundary=b"}
            made = await http.post("/v1/assets", content=body(), headers=kind)
            assert (made.status_code, made.json()["size"]) == (201, size)
            read = 0
            async with http.stream("GET", f"/v1/assets/{made.json()['id']}/content") as reply:
                async for chunk in reply.aiter_raw():
                    read += len(chunk)
            assert read == size
            assert peak_bytes(process.pid) - before < 64 * MIB
