"""Many sockets that only count what comes: cheap enough not to be what is measured."""

from __future__ import annotations

import asyncio
import os
from typing import Self, cast
from urllib.parse import urlsplit

OPEN_AT_ONCE = 50
PING = b"\x89\x04"
"""How uvicorn's pings begin; JSON has no such byte."""


class Reader(asyncio.Protocol):
    """One socket; counts how often a mark came, however the stream was cut."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._tail = b""
        self.is_open = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Count."""
        if not self.is_open.done() and b"101 Switching" in data:
            self.is_open.set_result(None)
        if PING in data:
            self._transport.write(_frame(data.partition(PING)[2][:4], opcode=0xA))
        seen = self._tail + data
        self._readers.found(seen.count(self._readers.mark))
        self._tail = seen[-(len(self._readers.mark) - 1) :]


class Readers:
    """Open sockets, as an asynchronous context.

    Args:
        url: The socket's `ws:` URL.
        token: What to send as a bearer token.
        count: How many.
        says: What each sends once it is open.
        mark: What is counted.
    """

    def __init__(self, url: str, token: str, count: int, *, says: bytes, mark: bytes) -> None:
        self._url = urlsplit(url)
        self._token = token
        self._count = count
        self._says = says
        self.mark = mark
        self._transports: list[asyncio.Transport] = []
        self._seen = 0
        self._wanted = 0
        self._enough = asyncio.Event()

    async def __aenter__(self) -> Self:
        limit = asyncio.Semaphore(OPEN_AT_ONCE)
        await asyncio.gather(*(self._open(limit) for _ in range(self._count)))
        return self

    async def __aexit__(self, *_: object) -> None:
        for transport in self._transports:
            transport.close()

    def found(self, number: int) -> None:
        """Count what one of them found."""
        self._seen += number
        if self._seen >= self._wanted:
            self._enough.set()

    async def have(self, number: int) -> None:
        """Return once they have found as many, all together, since the last time."""
        self._wanted = number
        while self._seen < number:
            self._enough.clear()
            await self._enough.wait()
        self._seen -= number

    async def _open(self, limit: asyncio.Semaphore) -> None:
        async with limit:
            loop = asyncio.get_running_loop()
            transport, reader = await loop.create_connection(
                lambda: Reader(self), self._url.hostname, self._url.port
            )
            self._transports.append(transport)
            transport.write(
                f"GET {self._url.path} HTTP/1.1\r\nHost: {self._url.netloc}\r\n"
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                f"Authorization: Bearer {self._token}\r\n\r\n".encode()
            )
            await reader.is_open
            if self._says:
                transport.write(_frame(self._says))


def _frame(text: bytes, opcode: int = 1) -> bytes:
    """Return a client's frame of up to 125 bytes."""
    key = os.urandom(4)
    masked = bytes(byte ^ key[at % 4] for at, byte in enumerate(text))
    return bytes([0x80 | opcode, 0x80 | len(text)]) + key + masked
