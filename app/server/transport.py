"""uvicorn's HTTP and WebSockets, with fewer writes.

uvloop hands each write to the kernel at once, and each wakes the reader. That is a fifth of what
the service spends on a small request, whose head uvicorn writes by itself, and more than all else
about a small frame, and events come in batches.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

WRITE_AT_ONCE_BYTES = 64 * 1024
"""No more than this waits for the end of the turn: the transport tells whether it takes more."""

_HEAD_AND_BODY = 2


class GatheringTransport:
    """A transport that writes together what is written in one turn of the loop.

    Args:
        transport: The one that writes.
        loop: Its loop.
        at_most: How many writes it gathers, so that what is complete leaves at once; None: any.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        *,
        at_most: int | None = None,
    ) -> None:
        self.at_most = at_most
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes] = []
        self._size = 0
        self._turn: asyncio.Handle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write with what else comes in this turn."""
        if not data:
            return
        self._waiting.append(bytes(data))
        self._size += len(data)
        if self._size >= WRITE_AT_ONCE_BYTES or len(self._waiting) == self.at_most:
            self._flush()
        elif self._turn is None:
            self._turn = self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Close once all is written."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._waiting.clear()
        self._transport.abort()

    def _flush(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._size = 0
            if not self._transport.is_closing():  # lost since: there is nobody to write to
                self._transport.write(data)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's, on a transport that gathers; a socket takes that over."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        gathering = GatheringTransport(transport, self.loop, at_most=_HEAD_AND_BODY)
        super().connection_made(cast("asyncio.Transport", gathering))

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over."""
        cast("GatheringTransport", self.transport).at_most = None
        super().handle_websocket_upgrade()
