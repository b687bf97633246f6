"""HTTP protocol for uvicorn that makes fewer system calls.

uvloop makes one system call for each write, and each one wakes the reader. For a small response,
whose head uvicorn writes separately, that is a fifth of the CPU time; for a small WebSocket frame
it is more than the rest together, and events come in batches.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

WRITE_AT_ONCE_BYTES = 64 * 1024
"""Size from which gathered data is written at once, so that the transport's flow control works."""

_HEAD_AND_BODY = 2


class GatheringTransport:
    """Transport that combines the writes of one iteration of the event loop.

    Args:
        transport: The underlying transport.
        loop: Its event loop.
        at_most: The number of writes after which data is written at once; None for no limit.
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
        self._pending: list[bytes] = []
        self._size = 0
        self._flush_handle: asyncio.Handle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Buffer the data until the end of the iteration, or write it at once at a limit."""
        if not data:
            return
        self._pending.append(bytes(data))
        self._size += len(data)
        if self._size >= WRITE_AT_ONCE_BYTES or len(self._pending) == self.at_most:
            self._flush()
        elif self._flush_handle is None:
            self._flush_handle = self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Close the transport after writing gathered data."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close the transport without writing gathered data."""
        self._pending.clear()
        self._transport.abort()

    def _flush(self) -> None:
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        if self._pending:
            data = b"".join(self._pending)
            self._pending.clear()
            self._size = 0
            if not self._transport.is_closing():  # the client may have disconnected
                self._transport.write(data)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol on a `GatheringTransport`, which an upgrade to a WebSocket keeps."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wrap the transport of a new connection."""
        gathering = GatheringTransport(transport, self.loop, at_most=_HEAD_AND_BODY)
        super().connection_made(cast("asyncio.Transport", gathering))

    def handle_websocket_upgrade(self) -> None:
        """Remove the limit of gathered writes, and upgrade the connection."""
        cast("GatheringTransport", self.transport).at_most = None
        super().handle_websocket_upgrade()
