"""Limits on connections: in total, per address, and per client of a trusted proxy."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from app.server.connection_limits import MAX_REFUSED, ConnectionLimits
from app.server.file_descriptors import RESERVED, connection_limit
from tests.support.jobs import open_socket
from tests.support.raw_http import Raw, raw, upgrade
from tests.support.services import Service, eventually

LOOPBACK = "127.0.0.0/8"


@asynccontextmanager
async def held(service: Service, number: int, **headers: str) -> AsyncIterator[list[Raw]]:
    """Open connections that have had one response each."""
    async with AsyncExitStack() as stack:
        connections = []
        for _ in range(number):
            connections.append(await stack.enter_async_context(raw(service.url)))
            assert (await connections[-1].get(**headers)).status == 200
        yield connections


async def test_one_address_holds_half_of_the_connections(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(max_connections=20)
    async with held(service, 10), raw(service.url) as one_more:
        reply = await one_more.get(X_Request_Id="mine")
        assert (reply.status, reply.json()["code"]) == (503, "too_many_connections")
        assert int(reply.headers["retry-after"]) > 0
        assert reply.headers["x-request-id"] == "mine"
        assert reply.json()["instance"] == "/healthz"
        assert await one_more.is_closed()

    async def is_free() -> bool:
        async with raw(service.url) as later:
            return (await later.get()).status == 200

    await eventually(is_free)


async def test_idle_connections_do_not_lock_others_out_for_long(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(max_connections=20, head_timeout_s=1)
    async with AsyncExitStack() as stack:
        for _ in range(10 + 2 * MAX_REFUSED):
            await stack.enter_async_context(raw(service.url))

        async def is_served() -> bool:
            async with raw(service.url) as other:
                try:
                    return (await other.get()).status == 200
                except (ConnectionError, EOFError):
                    return False

        await eventually(is_served)


async def test_sockets_count_as_connections(start_service: Callable[..., Service]) -> None:
    service = start_service(max_connections=4)
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(open_socket(service, service.token)) for _ in range(2)
        ]
        async with raw(service.url) as connection:
            assert (await connection.get()).status == 503
        async with raw(service.url) as connection:
            await connection.send(upgrade())
            assert (await connection.reply()).status == 503
        for socket in sockets:
            await socket.send(op="ping")
            assert (await socket.receive())["type"] == "pong"
            await socket.connection.close()

    async def is_free() -> bool:
        async with raw(service.url) as connection:
            return (await connection.get()).status == 200

    await eventually(is_free)


async def test_clients_of_a_trusted_proxy_count_one_by_one(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(max_connections=12, trusted_proxies=(LOOPBACK,))
    forwarded = {"X-Forwarded-For": "198.51.100.1, 192.0.2.1, 127.0.0.9"}
    async with held(service, 5, X_Forwarded_For="192.0.2.1") as connections, AsyncExitStack() as st:
        for _ in range(6):
            await st.enter_async_context(open_socket(service, service.token, headers=forwarded))
        refused = await connections[0].get(X_Forwarded_For="192.0.2.1")
        assert (refused.status, refused.json()["code"]) == (503, "too_many_connections")
        assert (await connections[1].get(X_Forwarded_For="192.0.2.2")).status == 200
        assert (await connections[2].get()).status == 200


async def test_an_address_that_an_untrusted_peer_reports_does_not_count(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(max_connections=8, trusted_proxies=("10.0.0.0/8",))
    async with AsyncExitStack() as stack:
        for number in range(4):
            connection = await stack.enter_async_context(raw(service.url))
            assert (await connection.get(X_Forwarded_For=f"192.0.2.{number}")).status == 200
        connection = await stack.enter_async_context(raw(service.url))
        assert (await connection.get(X_Forwarded_For="192.0.2.9")).status == 503


async def test_a_thousand_sockets_from_one_address_are_served(
    start_service: Callable[..., Service],
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip("the test holds both ends of 1,000 connections: ulimit -Hn is too low")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    try:
        service = start_service()
        async with held(service, 1000), raw(service.url) as one_more:
            assert (await one_more.get("/readyz")).status == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_refused_connections_than_can_be_answered_are_closed() -> None:
    limits = ConnectionLimits(2)
    first = limits.open("192.0.2.1")
    assert first is not None
    refused = [limits.open("192.0.2.1") for _ in range(MAX_REFUSED)]
    assert [slot.is_refused for slot in refused if slot is not None] == [True] * MAX_REFUSED
    assert limits.open("192.0.2.1") is None
    assert refused[0] is not None
    limits.close(refused[0])
    limits.close(refused[0])
    assert limits.open("192.0.2.1") is not None
    assert limits.open("192.0.2.1") is None
    second = limits.open("192.0.2.2")
    assert second is not None
    assert not second.is_refused
    third = limits.open("192.0.2.3")
    assert third is None


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:DB8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_addresses_are_compared_by_value_and_network(
    one: str, other: str, *, is_same: bool
) -> None:
    limits = ConnectionLimits(2)
    limits.open(one)
    slot = limits.open(other)
    assert slot is not None
    assert slot.is_refused == is_same


@pytest.mark.parametrize(
    ("forwarded", "holder"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 10.0.0.1", "192.0.2.1"),
        ("198.51.100.1, 192.0.2.1 ,10.0.0.1", "192.0.2.1"),
        ("192.0.2.1:1234", "192.0.2.1"),
        ("[2001:db8::1]:80", "20010db800000000/64"),
        ("10.0.0.2, 10.0.0.1", None),
        ("unknown", None),
        ("", None),
    ],
)
def test_the_last_untrusted_address_is_the_client(forwarded: str, holder: str | None) -> None:
    limits = ConnectionLimits(10, ("10.0.0.0/8",))
    slot = limits.open("10.0.0.7")
    assert slot is not None
    assert limits.assign(slot, forwarded)
    assert slot.holder == holder
    limits.close(slot)


def test_file_descriptors_are_kept_in_reserve() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1000, hard), hard))
        assert connection_limit(None) == 1000 - RESERVED
        assert connection_limit(100_000) == 1000 - RESERVED
        assert connection_limit(10) == 10
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
