"""Tests of `GatheringTransport`: writes are combined, in order and completely."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.server.transport import WRITE_AT_ONCE_BYTES, GatheringTransport


@asynccontextmanager
async def _pair(
    at_most: int | None = None,
) -> AsyncIterator[tuple[GatheringTransport, socket.socket]]:
    """Give a transport and the other end, which reads what is there and does not wait."""
    near, far = socket.socketpair()
    far.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
    with far:
        yield GatheringTransport(transport, loop, at_most=at_most), far
        if not transport.is_closing():
            transport.abort()


async def _until_closed(far: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    parts = []
    async with asyncio.timeout(30):
        while part := await loop.sock_recv(far, 1024 * 1024):
            parts.append(part)
    return b"".join(parts)


async def test_what_is_written_in_one_turn_arrives_together_after_it() -> None:
    async with _pair() as (transport, far):
        transport.write(b"one ")
        transport.write(b"")
        transport.write(b"two")
        with pytest.raises(BlockingIOError):
            far.recv(100)
        await asyncio.sleep(0)
        assert far.recv(100) == b"one two"
        transport.write(b"three")
        await asyncio.sleep(0)
        assert far.recv(100) == b"three"


async def test_much_is_not_held_back_so_that_a_slow_reader_is_noticed() -> None:
    async with _pair() as (transport, far):
        transport.write(b"a" * (WRITE_AT_ONCE_BYTES - 1))
        with pytest.raises(BlockingIOError):
            far.recv(100)
        transport.write(b"b")
        assert far.recv(1) == b"a"


async def test_what_is_complete_leaves_at_once() -> None:
    """The head and the body of a response."""
    async with _pair(at_most=2) as (transport, far):
        transport.write(b"head ")
        with pytest.raises(BlockingIOError):
            far.recv(100)
        transport.write(b"body")
        assert far.recv(100) == b"head body"
        transport.write(b"chunk")
        await asyncio.sleep(0)
        assert far.recv(100) == b"chunk"


async def test_large_writes_keep_their_order() -> None:
    large = b"x" * (2 * WRITE_AT_ONCE_BYTES)
    async with _pair() as (transport, far):
        transport.write(large)
        transport.write(b"small")
        transport.write(large)
        transport.close()
        assert await _until_closed(far) == large + b"small" + large


async def test_nothing_is_written_to_a_connection_that_is_lost() -> None:
    async with _pair() as (transport, far):
        transport.close()
        transport.write(b"too late")
        await asyncio.sleep(0)
        assert await _until_closed(far) == b""


async def test_closing_writes_what_waits_and_aborting_does_not() -> None:
    async with _pair() as (transport, far):
        transport.write(b"last words")
        transport.close()
        assert transport.is_closing()
        assert await _until_closed(far) == b"last words"
    async with _pair() as (transport, far):
        transport.write(b"never said")
        transport.abort()
        assert await _until_closed(far) == b""
