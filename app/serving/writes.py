"""uvicorn's HTTP, with the head and the body of a response in one packet."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_LARGE = 16 * 1024


class JoinedWrites:
    """A transport that holds a small write back for the next one, at most until the loop's turn.

    uvicorn writes the head of a response by itself, and each write wakes the reader: a fifth of
    what the service spends on a small request.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.raw = transport
        self._loop = loop
        self._held: bytes | None = None
        self._turn: asyncio.Handle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def write(self, data: bytes) -> None:
        """Write soon, or at once what belongs to a write that waits."""
        if self._held is not None:
            self._held += data
            self.flush()
        elif len(data) >= _LARGE:
            self.raw.write(data)
        else:
            self._held = data
            self._turn = self._loop.call_soon(self.flush)

    def close(self) -> None:
        """Close once everything is written."""
        self.flush()
        self.raw.close()

    def flush(self) -> None:
        """Write what waits."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        held, self._held = self._held, None
        if held is not None and not self.raw.is_closing():
            self.raw.write(held)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's, with joined writes; a socket gets the transport as it is."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        super().connection_made(cast("asyncio.Transport", JoinedWrites(transport, self.loop)))

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over."""
        joined = cast("JoinedWrites", self.transport)
        joined.flush()
        self.transport = joined.raw
        super().handle_websocket_upgrade()
