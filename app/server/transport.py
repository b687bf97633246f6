"""Transport for uvicorn's protocols that makes fewer system calls.

uvloop makes one system call for each write, and each one wakes the reader. For a small response,
whose head uvicorn writes separately, that is a fifth of the CPU time; for a small WebSocket frame
it is more than the rest together, and events come in batches.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import termios
from array import array
from collections.abc import Callable
from typing import Any

WRITE_AT_ONCE_BYTES = 64 * 1024
"""Size from which gathered data is written at once, so that the transport's flow control works."""

CLOSE_GRACE_S = 30
"""Time without progress that ends the reading of a response after the connection is closed."""

logger = logging.getLogger(__name__)


class GatheringTransport:
    """Transport that combines the writes of one iteration of the event loop.

    Args:
        transport: The underlying transport.
        loop: Its event loop.
        at_most: The number of writes after which data is written at once; None for no limit.

    `on_lost` is called by `lost`, whichever protocol the connection has at its end.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        *,
        at_most: int | None = None,
    ) -> None:
        self.at_most = at_most
        self.on_lost: Callable[[], None] | None = None
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

    def write_eof(self) -> None:
        """Close the writing half of the connection after writing gathered data."""
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Close the transport after writing gathered data, which the client has to read in time."""
        self._flush()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._loop.call_later(CLOSE_GRACE_S, self._abort_if_stalled, self.unacknowledged())

    def abort(self) -> None:
        """Close the transport without writing gathered data."""
        self._pending.clear()
        self._transport.abort()

    def unacknowledged(self) -> int:
        """Return the number of written bytes that the client has not acknowledged.

        The kernel's buffer, of up to some MiB, is refilled in large steps: the transport's own
        buffer alone would show no progress of a slow client for a long time.
        """
        count = array("i", [0])
        try:
            fcntl.ioctl(self._transport.get_extra_info("socket"), termios.TIOCOUTQ, count)
        except OSError as exc:
            logger.debug("cannot read the size of the send buffer: %s", exc)
        return self._transport.get_write_buffer_size() + count[0]

    def _abort_if_stalled(self, before: int) -> None:
        """Abort a closing connection if the client has read nothing since the last check."""
        if not self._transport.get_write_buffer_size():
            return
        waiting = self.unacknowledged()
        if waiting >= before:
            self._transport.abort()
        else:
            self._loop.call_later(CLOSE_GRACE_S, self._abort_if_stalled, waiting)

    def lost(self) -> None:
        """Report the end of the connection, once."""
        on_lost, self.on_lost = self.on_lost, None
        if on_lost is not None:
            on_lost()

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
