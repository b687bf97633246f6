"""Receiver of webhooks on loopback with prepared responses, which records its requests."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook

from tests.support.misbehaving_server import reply


@dataclass(frozen=True)
class Received:
    """A received request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The message's id."""
        return self.headers["webhook-id"]

    @property
    def message(self) -> dict[str, Any]:
        """The message, unverified."""
        message: dict[str, Any] = json.loads(self.body)
        return message

    def verified(self, secret: str) -> dict[str, Any]:
        """Verify the signature with the library of the specification; return the message."""
        message: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return message


@dataclass
class Receiver:
    """HTTP server that returns the `answers` of a path one after the other, then 200.

    Requests to a path in `held` get their response when `release` is called.
    """

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answers: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    held: set[str] = field(default_factory=set)
    most_at_once: int = 0
    _at_once: int = 0
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Received]:
        """Return the requests to a path."""
        return [request for request in self.received if request.path == path]

    def release(self) -> None:
        """Respond to all held requests, and hold no more."""
        self.held.clear()
        self._released.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                request = await _read(reader)
                self.received.append(request)
                if request.path in self.held:
                    await self._released.wait()
                planned = self.answers[request.path]
                writer.write(planned.pop(0) if planned else reply(b"thanks"))
                await writer.drain()
        finally:
            self._at_once -= 1
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Received:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    return Received(method, path, headers, await reader.readexactly(int(headers["content-length"])))


@asynccontextmanager
async def receiving(listener: socket.socket | None = None) -> AsyncIterator[Receiver]:
    """Run a receiver on a new port, or on the listener of a dead receiver."""
    receiver = Receiver()
    listener = listener or _listener()
    server = await asyncio.start_server(receiver.serve, sock=listener)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver
        receiver.release()


@contextmanager
def dead_receiver() -> Iterator[socket.socket]:
    """Open a listener that accepts connections and never reads from them."""
    with _listener() as listener:
        yield listener


def url_of(listener: socket.socket) -> str:
    """Return the URL of a listener."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def _listener() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1000)
    return listener
