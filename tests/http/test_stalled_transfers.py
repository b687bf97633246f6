"""Tests of clients that stop sending a body or reading a response, and of slow ones."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.support.assets import make_asset
from tests.support.loop_watcher import watched_loop
from tests.support.services import WAIT_S, Service, User

MIB = 1024 * 1024
STALL_S = 1.0


@pytest.fixture
def hasty(start_service: Callable[..., Service]) -> Service:
    """A service that waits for a second, with two slots for large uploads."""
    return start_service(stalled_body_s=STALL_S, stalled_reader_s=STALL_S, max_streamed_uploads=2)


@contextmanager
def connected(
    service: Service, request: str, user: User, *, buffer: int = 128 * 1024
) -> Iterator[socket.socket]:
    """Send the head of a request on a connection with its own receive buffer."""
    address = urlsplit(service.url)
    assert address.hostname
    assert address.port
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.settimeout(WAIT_S)
        connection.connect((address.hostname, address.port))
        connection.sendall(
            f"{request}\r\nHost: x\r\nAuthorization: Bearer {user.token}\r\n\r\n".encode()
        )
        yield connection


def received(connection: socket.socket) -> bytes:
    """Return what is received until the connection ends."""
    data = bytearray()
    while True:
        try:
            piece = connection.recv(65536)
        except ConnectionResetError:
            break
        if not piece:
            break
        data += piece
    return bytes(data)


@pytest.mark.parametrize(
    ("request_", "begun"),
    [
        ("POST /v1/temp HTTP/1.1\r\nContent-Type: a/b\r\nContent-Length: 9000000", b"x" * 100),
        ("POST /v1/temp HTTP/1.1\r\nContent-Type: a/b\r\nContent-Length: 9000000", b""),
        (
            "POST /v1/assets/find HTTP/1.1\r\nContent-Type: application/json\r\n"
            "Content-Length: 9000",
            b'{"asset_ids": [',
        ),
    ],
)
async def test_a_body_without_progress_is_given_up(
    hasty: Service, request_: str, begun: bytes
) -> None:
    async with await hasty.new_user() as user:
        with connected(hasty, request_, user) as connection:
            connection.sendall(begun)
            reply = await asyncio.to_thread(received, connection)
    assert b" 408 " in reply.partition(b"\r\n")[0]
    assert b'"code":"body_stalled"' in reply


async def test_a_slow_but_steady_upload_is_received(hasty: Service) -> None:
    pieces = [os.urandom(100) for _ in range(12)]

    async def slow() -> AsyncIterator[bytes]:
        for piece in pieces:
            await asyncio.sleep(STALL_S / 5)
            yield piece

    async with await hasty.new_user() as user:
        made = await user.http.post("/v1/temp", content=slow())
        assert made.status_code == 201
        content = await user.http.get(f"/v1/temp/{made.json()['id']}/content")
        assert content.content == b"".join(pieces)


async def test_stalled_uploads_of_one_user_leave_slots_to_others(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(max_streamed_uploads=4)
    head = "POST /v1/temp HTTP/1.1\r\nContent-Type: a/b\r\nContent-Length: 9000000"
    async with await service.new_user() as staller, await service.new_user() as other:
        warm = await other.http.post("/v1/temp", content=bytes(3 * MIB))
        assert warm.status_code == 201
        async with watched_loop(service):
            opened = [connected(service, head, staller) for _ in range(8)]
            connections = [each.__enter__() for each in opened]
            for connection in connections:
                await asyncio.to_thread(connection.sendall, bytes(2 * MIB))
            made = await other.http.post("/v1/temp", content=bytes(3 * MIB))
            assert made.status_code == 201
        for connection in connections:
            connection.close()


@pytest.mark.parametrize("path", ["assets/{}/content", "assets/archive"])
async def test_a_reader_without_progress_is_disconnected(hasty: Service, path: str) -> None:
    async with await hasty.new_user() as user:
        made = await make_asset(user, os.urandom(24 * MIB))
        if path.endswith("archive"):
            body = f'{{"asset_ids":["{made.id}"]}}'
            request = (
                "POST /v1/assets/archive HTTP/1.1\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}"
            )
        else:
            body = ""
            request = f"GET /v1/{path.format(made.id)} HTTP/1.1"
        with connected(hasty, request, user) as connection:
            connection.sendall(body.encode())
            await asyncio.sleep(4 * STALL_S)
            reply = await asyncio.to_thread(received, connection)
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert len(reply) < 24 * MIB


async def test_a_slow_but_steady_reader_receives_everything(hasty: Service) -> None:
    content = os.urandom(8 * MIB)
    async with await hasty.new_user() as user:
        made = await make_asset(user, content)
        request = f"GET /v1/assets/{made.id}/content HTTP/1.1\r\nConnection: close"
        with connected(hasty, request, user) as connection:
            data = bytearray()
            while piece := await asyncio.to_thread(connection.recv, 128 * 1024):
                data += piece
                if len(data) < MIB:
                    await asyncio.sleep(STALL_S / 4)
    assert data.endswith(content[-1000:])
    assert data.partition(b"\r\n\r\n")[2] == content
