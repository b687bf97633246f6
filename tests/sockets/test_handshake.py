"""Handshake of a WebSocket: tokens, subprotocols, tickets, Origins and scopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.jobs import (
    open_socket,
)
from tests.support.services import Service, User


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
        ("same", True),
        ("https://evil.example", False),
        ("null", False),
        ("https://good.example.evil.example", False),
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
