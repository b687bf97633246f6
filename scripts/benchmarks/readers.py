"""WebSocket clients that only count occurrences of a mark, with little CPU time."""

from __future__ import annotations

import asyncio
import os
from typing import Self, cast
from urllib.parse import urlsplit

OPEN_AT_ONCE = 50
PING = b"\x89\x04"
"""First bytes of uvicorn's pings; the first one does not occur in JSON."""


class Reader(asyncio.Protocol):
    """One WebSocket; counts the occurrences of a mark, also across chunks."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._tail = b""
        self.is_open = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Count the marks in a chunk."""
        if not self.is_open.done() and b"101 Switching" in data:
            self.is_open.set_result(None)
        if PING in data:
            self._transport.write(_frame(data.partition(PING)[2][:4], opcode=0xA))
        seen = self._tail + data
        self._readers.add(seen.count(self._readers.mark))
        self._tail = seen[-(len(self._readers.mark) - 1) :]


class Readers:
    """Open WebSockets, as an asynchronous context manager.

    Args:
        url: The `ws:` URL.
        token: The bearer token.
        count: The number of WebSockets.
        message: Text that each sends once it is open.
        mark: The bytes to count.
    """

    def __init__(self, url: str, token: str, count: int, *, message: bytes, mark: bytes) -> None:
        self._url = urlsplit(url)
        self._token = token
        self._count = count
        self._message = message
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

    def add(self, number: int) -> None:
        """Add to the number of marks that were received."""
        self._seen += number
        if self._seen >= self._wanted:
            self._enough.set()

    async def wait_for(self, number: int) -> None:
        """Wait until all WebSockets together have received `number` marks since the last call."""
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
            if self._message:
                transport.write(_frame(self._message))


def _frame(text: bytes, opcode: int = 1) -> bytes:
    """Return a masked frame of up to 125 bytes."""
    key = os.urandom(4)
    masked = bytes(byte ^ key[at % 4] for at, byte in enumerate(text))
    return bytes([0x80 | opcode, 0x80 | len(text)]) + key + masked
