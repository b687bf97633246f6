"""HTTP over plain sockets, for requests that no HTTP client would send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

from tests.support.services import WAIT_S


@dataclass
class Reply:
    """A response: its status, its headers by lower-case name, and its body."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """Return the parsed body."""
        return orjson.loads(self.body)


class Raw:
    """A connection to a service."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        async with asyncio.timeout(WAIT_S):
            self.writer.write(data)
            await self.writer.drain()

    async def get(self, path: str = "/healthz", **headers: str) -> Reply:
        """Send a GET request; return the response."""
        await self.send(head("GET", path, **headers))
        return await self.reply()

    async def reply(self, *, has_body: bool = True) -> Reply:
        """Read one response; without a body if it is one to HEAD."""
        async with asyncio.timeout(WAIT_S):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = (line.partition(": ") for line in lines[1:] if line)
            headers = {name.lower(): value for name, _, value in fields}
            length = int(headers.get("content-length", 0)) if has_body else 0
            body = await self.reader.readexactly(length)
        return Reply(int(lines[0].split()[1]), headers, body)

    async def is_closed(self) -> bool:
        """Wait until the service closes the connection; return True if it sends nothing before."""
        async with asyncio.timeout(WAIT_S):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True


def head(method: str, path: str, **headers: str) -> bytes:
    """Return the head of a request; `_` in the name of a header stands for `-`."""
    fields = {"Host": "service", **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def upgrade(**headers: str) -> bytes:
    """Return the handshake of a WebSocket."""
    basic = {
        "Host": "service",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    return head("GET", "/v1/ws", **{**basic, **headers})


async def send_often(connection: Raw, piece: bytes, *, pause_s: float = 0) -> None:
    """Send the same bytes many times, with pauses in which the service may read them."""
    for _ in range(5000):
        await connection.send(piece)
        await asyncio.sleep(pause_s)


@asynccontextmanager
async def raw(url: str) -> AsyncIterator[Raw]:
    """Open a connection to the host of a URL."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
