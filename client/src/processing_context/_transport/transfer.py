"""One attempt of a transfer: cancellation, progress, and the interfaces of sources and sinks."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from http.client import HTTPResponse
from typing import NamedTuple, Protocol

from processing_context._transport.connections import Connection, Target
from processing_context.errors import ContextError, HTTPStatusError, from_body

Progress = Callable[[int, int], None]
"""Called with (bytes done, total bytes; 0 while the total is unknown)."""


class Refused(ContextError):
    """A response with a status of 400 or more; converted by `public` for callers."""

    def __init__(self, status: int, target: Target, headers: dict[str, str], body: bytes) -> None:
        super().__init__(status, target.shown)
        self.status = status
        self.target = target
        self.headers = headers
        self.body = body

    def public(self) -> ContextError:
        """Return the public error."""
        if self.headers.get("content-type", "").startswith("application/problem+json"):
            request_id = self.headers.get("x-request-id")
            return from_body(self.status, self.body, request_id=request_id)
        code = re.search(rb"<Code>([A-Za-z]+)</Code>", self.body)  # S3's own errors are XML
        return HTTPStatusError(self.status, self.target.shown, code[1].decode() if code else "")


class Transfer:
    """Control of an attempt that runs in a thread: the loop stops it, the thread reports progress.

    Args:
        progress: Called in the thread of the running loop. Its exception stops the transfer, and
            is stored in `error`.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self.error: Exception | None = None
        self._progress = progress
        self._loop = asyncio.get_running_loop() if progress is not None else None
        self._is_stopped = False
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def watch(self, connection: Connection | None) -> None:
        """Set the connection that `stop` interrupts."""
        with self._lock:
            self._connection = connection
        self.check()

    def check(self) -> None:
        """Raise `ContextError` in the thread if the transfer was stopped."""
        if self._is_stopped:
            raise ContextError("the transfer was stopped")

    def report(self, done: int, total: int) -> None:
        """Report progress from the thread."""
        self.check()
        if self._loop is not None and self._progress is not None:
            self._loop.call_soon_threadsafe(self._call_progress, self._progress, done, total)

    def stop(self) -> None:
        """Stop the thread, even while it waits for the other side."""
        with self._lock:
            self._is_stopped = True
            if self._connection is not None:
                self._connection.interrupt()

    def _call_progress(self, progress: Progress, done: int, total: int) -> None:
        try:
            progress(done, total)
        except Exception as exc:  # any error of the caller's function stops the transfer
            self.error = exc
            self.stop()


class Headers(Protocol):
    """Header fields of a response."""

    def get(self, name: str, /) -> str | None:
        """Return a field; names are case-insensitive."""


class Answered(NamedTuple):
    """Response whose body has been read."""

    status: int
    headers: Headers
    body: bytes


class ContentEnded(ValueError):
    """A file became shorter while it was being uploaded."""


class Readable(Protocol):
    """Source of an upload."""

    def seek(self, offset: int, /) -> int:
        """Set the position."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, fewer only at the end."""


class Incoming(Protocol):
    """Sink of a download, which can resume."""

    @property
    def done(self) -> int:
        """Number of bytes received."""

    def range_headers(self) -> dict[str, str]:
        """Return headers that request the missing bytes."""

    def begin(self, response: HTTPResponse) -> None:
        """Set the position of the body from the headers of a response."""

    def receive(self, response: HTTPResponse, transfer: Transfer) -> None:
        """Read the body."""
