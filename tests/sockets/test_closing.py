"""Close codes of a WebSocket: revoked tokens, ended leases, shutdown, slow readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import httpx
import pytest

from app.sockets.domain import build
from tests.support.jobs import (
    graph,
    open_socket,
    owner,
    small_socket,
    start,
    worker_of,
)
from tests.support.services import WAIT_S, Service, User, with_domain

LOG = {"type": "log", "level": "info", "message": "m"}


async def test_the_sockets_of_a_revoked_token_are_closed(
    service: Service, user: User, admin: httpx.AsyncClient
) -> None:
    async with open_socket(service, user.token) as socket:
        await socket.send(op="ping")
        await socket.receive()
        [token] = (await user.http.get("/v1/tokens")).json()["tokens"]
        assert (await admin.delete(f"/v1/tokens/{token['id']}")).status_code == 204
        assert await socket.closed() == 4401


@pytest.mark.parametrize("media_type", ["text/event-stream", "application/x-ndjson"])
@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_event_streams_end_with_their_token(
    service: Service, user: User, media_type: str, end: str
) -> None:
    made = (await user.http.post("/v1/tokens", json={"name": "s", "scopes": ["user"]})).json()
    job = await start(user, graph=graph("nobody.RunsThis"))
    path = f"/v1/jobs/{job['id']}/events"
    async with (
        service.client(made["token"]) as http,
        http.stream("GET", path, headers={"Accept": media_type}) as stream,
        asyncio.timeout(WAIT_S),
    ):
        parts = stream.aiter_text()
        assert "queued" in await anext(parts)
        if end == "revoked":
            assert (await user.http.delete(f"/v1/tokens/{made['id']}")).status_code == 204
        else:
            change = "update tokens set expires_at = now() where id = $1"
            await service.run(service.db.pool.execute(change, made["id"]))
        rest = [part async for part in parts]
    assert all("waiting" in part for part in rest)


async def test_the_socket_of_a_lease_ends_with_the_lease(service: Service) -> None:
    async with owner(service) as user:
        await start(user)
        held = await (await worker_of(user)).take()
        async with open_socket(service, held.token) as socket:
            await socket.send(op="ping")
            assert (await socket.receive())["type"] == "pong"
            await held.complete()
            assert await socket.closed() == 4401


async def test_sockets_close_with_1012_when_the_service_stops(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    async with open_socket(service, service.token) as socket:
        await socket.send(op="ping")
        await socket.receive()
        service.stop()
        assert await socket.closed() == 1012


async def test_a_reader_that_does_not_read_is_closed_with_4408(
    start_service: Callable[..., Service],
) -> None:
    """And a quick reader beside it is not delayed."""
    # The slow one reads again only when everything is posted, which may take long.
    patient = partial(build, close_grace_s=60)
    service = start_service(domains=with_domain("sockets", build=patient))
    async with (
        owner(service) as user,
        open_socket(service, user.token, max_queue=1, sock=small_socket(service)) as slow,
        open_socket(service, user.token) as quick,
    ):
        job = await start(user)
        held = await (await worker_of(user)).take()
        for socket in (slow, quick):
            await socket.send(op="subscribe", job_id=job["id"])
            await socket.until("caught_up")
        large = {**LOG, "message": "x" * 60_000}
        for _ in range(40):
            await held.post(*[large] * 10)
            for _ in range(10):
                await quick.receive()
        assert await slow.closed() == 4408
