"""Handshake of a WebSocket: tokens, subprotocols, tickets, Origins and scopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.jobs import open_socket
from tests.support.raw_http import raw, send_often, upgrade
from tests.support.services import Service, User

PING = b"\x81\x8d" + bytes(4) + b'{"op":"ping"}'
"""A masked text frame, whose reply is a frame of 15 bytes."""


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"headers": {"Authorization": "Bearer ctx_wrong"}},
        {"headers": {"Authorization": "Bearer job_wrong"}},
        {"query": "?ticket=wrong"},
        {"subprotocols": ["context.v1", "context.bearer.wrong"]},
    ],
)
async def test_without_a_good_token_the_socket_is_accepted_then_closed(
    service: Service, options: dict[str, Any]
) -> None:
    async with open_socket(service, None, **options) as socket:
        assert await socket.closed() == 4401


async def test_a_token_in_the_url_is_not_accepted(service: Service, user: User) -> None:
    for name in ("token", "access_token", "ticket"):
        async with open_socket(service, None, query=f"?{name}={user.token}") as socket:
            assert await socket.closed() == 4401


async def test_a_browser_sends_its_token_as_a_subprotocol(service: Service, user: User) -> None:
    protocols = ["context.v1", f"context.bearer.{user.token}"]
    async with open_socket(service, None, subprotocols=protocols) as socket:
        assert socket.connection.subprotocol == "context.v1"
        await socket.send(op="ping")
        assert await socket.receive() == {"type": "pong"}


async def test_a_ticket_is_good_once(service: Service, user: User) -> None:
    ticket = (await user.http.post("/v1/ws/tickets")).json()["ticket"]
    async with open_socket(service, None, query=f"?ticket={ticket}") as socket:
        await socket.send(op="ping")
        assert (await socket.receive())["type"] == "pong"
    async with open_socket(service, None, query=f"?ticket={ticket}") as socket:
        assert await socket.closed() == 4401


@pytest.mark.parametrize(
    ("origin", "is_let_in"),
    [
        ("https://good.example", True),
        ("https://good.example:443", True),
        ("https://GOOD.example", True),
        ("http://good.example", False),
        ("https://good.example:8443", False),
        ("same", True),
        ("https://evil.example", False),
        ("null", False),
        ("https://good.example.evil.example", False),
        ("https://good.example@evil.example", False),
        ("http://[", False),
        ("http://a:b", False),
        ("http://a:99999999", False),
        ("//good.example", False),
        ("file://", False),
        ("chrome-extension://abcdef", False),
        ("x" * 5000, False),
    ],
)
async def test_a_page_of_another_origin_is_not_let_in(
    start_service: Callable[..., Service], origin: str, is_let_in: bool
) -> None:
    service = start_service(allowed_origins=("https://good.example",))
    origin = service.url if origin == "same" else origin
    async with open_socket(service, service.token, headers={"Origin": origin}) as socket:
        if is_let_in:
            await socket.send(op="ping")
            assert (await socket.receive())["type"] == "pong"
        else:
            assert await socket.closed() == 4403


async def test_a_token_of_the_wrong_scope_is_not_let_in(service: Service) -> None:
    async with await service.new_user() as user:
        token = await service.new_token(user.id, ("worker",))
    async with open_socket(service, token) as socket:
        assert await socket.closed() == 4403


@pytest.mark.parametrize("end", ["revoked", "expired", "user deleted"])
async def test_a_ticket_of_a_token_that_has_ended_is_not_let_in(
    service: Service, admin: httpx.AsyncClient, end: str
) -> None:
    async with await service.new_user() as user:
        ticket = (await user.http.post("/v1/ws/tickets")).json()["ticket"]
        [listed] = (await user.http.get("/v1/tokens")).json()["tokens"]
        if end == "revoked":
            await user.http.delete(f"/v1/tokens/{listed['id']}")
        elif end == "expired":
            change = "update tokens set expires_at = now() where id = $1"
            await service.run(service.db.pool.execute(change, listed["id"]))
        else:
            await admin.delete(f"/v1/users/{user.id}")
    async with open_socket(service, None, query=f"?ticket={ticket}") as socket:
        assert await socket.closed() == 4401


@pytest.mark.parametrize(
    ("host", "origin", "is_let_in"),
    [
        ("app.example", "https://app.example", True),
        ("app.example:443", "https://app.example", True),
        ("app.example:80", "http://app.example", True),
        ("APP.example", "http://app.example", True),
        ("app.example:8000", "http://app.example:8000", True),
        ("[2001:db8::1]:443", "https://[2001:db8::1]", True),
        ("app.example", "ftp://app.example", False),
        ("app.example:443", "http://app.example", False),
        ("app.example:8000", "https://app.example", False),
        ("app.example", "https://app.example/path", False),
        ("app.example", "https://user@app.example", False),
        ("app.example", "app.example", False),
        ("", "http://", False),
        ("[", "http://[", False),
        ("a]b", "http://a]b", False),
    ],
)
async def test_the_same_origin_has_the_same_host_and_port(
    service: Service, host: str, origin: str, *, is_let_in: bool
) -> None:
    async with raw(service.url) as connection:
        protocols = f"context.v1, context.bearer.{service.token}"
        await connection.send(upgrade(Host=host, Origin=origin, Sec_WebSocket_Protocol=protocols))
        assert (await connection.reply()).status == 101
        await connection.send(PING)
        frame = await connection.reader.read(4)
    assert frame[:2] == b"\x81\x0f" if is_let_in else frame[2:4] == (4403).to_bytes(2, "big")


async def test_a_handshake_with_a_giant_header_is_refused(service: Service) -> None:
    for headers in ({"X_A": "a" * 20_000}, {f"X_{n}": "a" for n in range(200)}):
        async with raw(service.url) as connection:
            await connection.send(upgrade(**headers))
            reply = await connection.reply()
            assert (reply.status, reply.json()["code"]) == (431, "headers_too_large")
            assert await connection.is_closed()


async def test_a_malformed_handshake_is_refused(service: Service) -> None:
    for headers in ({"Sec_WebSocket_Key": "x"}, {"Sec_WebSocket_Version": "1"}):
        async with raw(service.url) as connection:
            await connection.send(upgrade(**headers))
            assert (await connection.reply()).status in (400, 426)
            await connection.reader.read()


async def test_a_socket_without_a_token_may_not_send_much(service: Service) -> None:
    frame = b"\x82\xff" + (8_000_000).to_bytes(8, "big") + bytes(4)
    async with raw(service.url) as connection:
        await connection.send(upgrade())
        assert (await connection.reply()).status == 101
        await connection.send(frame)
        with pytest.raises(ConnectionError):
            await send_often(connection, bytes(1024), pause_s=0.001)
