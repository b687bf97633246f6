"""HTTP protocol of uvicorn with fewer system calls.

uvloop makes one system call for each write, and each one wakes the reader. For a small request,
whose head uvicorn writes separately, that is a fifth of the service's CPU time; for a small
WebSocket frame it is more than everything else, and events come in batches.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

WRITE_AT_ONCE_BYTES = 64 * 1024
"""The size at which gathered data is written: only the transport knows that its buffer is full."""

_HEAD_AND_BODY = 2


class GatheringTransport:
    """A transport that gathers the writes of one iteration of the event loop into one.

    Args:
        transport: The underlying transport.
        loop: Its event loop.
        at_most: The number of writes after which data is written without waiting; None: no limit.
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
        """Write together with the other writes of this iteration."""
        if not data:
            return
        self._pending.append(bytes(data))
        self._size += len(data)
        if self._size >= WRITE_AT_ONCE_BYTES or len(self._pending) == self.at_most:
            self._flush()
        elif self._flush_handle is None:
            self._flush_handle = self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Close after gathered data has been written."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close without writing gathered data."""
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
            if not self._transport.is_closing():  # the peer may have disconnected
                self._transport.write(data)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol on a `GatheringTransport`, which an upgrade to a WebSocket keeps."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wrap the transport of a new connection."""
        gathering = GatheringTransport(transport, self.loop, at_most=_HEAD_AND_BODY)
        super().connection_made(cast("asyncio.Transport", gathering))

    def handle_websocket_upgrade(self) -> None:
        """Lift the limit of gathered writes, and hand the connection over."""
        cast("GatheringTransport", self.transport).at_most = None
        super().handle_websocket_upgrade()
