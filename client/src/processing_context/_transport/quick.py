"""Short calls in the loop itself: a thread, or httpx, costs more than they do.

Only plain answers count. What is not as simple as that (a proxy on the way, a body without its
length) is left to the byte path, which knows what to do.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from ssl import SSLContext
from typing import Any

from processing_context._transport.connections import Origin, Target, proxy_for
from processing_context._transport.transfer import Answered

AT_ONCE = 16
MOST_S = 10.0
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_ODD = re.compile(rb"\r\n(transfer-encoding|content-encoding):", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.1 ([2-5]\d\d)[ \r]")


class _Reader(asyncio.StreamReader):
    """Knows how much has come, so that what nobody asked for is noticed."""

    come = 0

    def feed_data(self, data: Any) -> None:
        """Take in what has come."""
        self.come += len(data)
        super().feed_data(data)


class _Line:
    """One connection."""

    def __init__(self, reader: _Reader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._taken = 0

    @classmethod
    async def to(cls, origin: Origin, tls: SSLContext | None) -> _Line:
        """Connect."""
        _, host, port = origin
        loop = asyncio.get_running_loop()
        reader = _Reader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.create_connection(lambda: protocol, host, port, ssl=tls)
        return cls(reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    @property
    def is_idle(self) -> bool:
        """Whether it is open, and nothing has come but what was asked for."""
        is_open = not (self.reader.at_eof() or self.writer.is_closing())
        return is_open and self.reader.come == self._taken

    async def head(self) -> bytes:
        """Return the head of an answer."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self._taken += len(head)
        return head

    async def body(self, size: int) -> bytes:
        """Return the body of an answer."""
        body = await self.reader.readexactly(size)
        self._taken += size
        return body


class QuickCalls:
    """Calls over kept connections; for one loop.

    Args:
        timeout_s: For all of one file; at most ten seconds.
        certificates: Gives the SSL context of the byte path.
    """

    def __init__(
        self, *, timeout_s: float, certificates: Callable[[], Awaitable[SSLContext]]
    ) -> None:
        self._timeout_s = min(timeout_s, MOST_S)
        self._certificates = certificates
        self._idle: dict[Origin, list[_Line]] = {}
        self._odd: set[Origin] = set()
        # Of their own, so that calls do not wait behind files.
        self._room_for_files = asyncio.Semaphore(AT_ONCE)
        self._room_for_calls = asyncio.Semaphore(AT_ONCE)

    async def get(self, url: str, size: int) -> bytes | None:
        """Return the `size` bytes of an object; None where it is not as simple as that."""
        target = Target(url)
        request = _head("GET", target, {"Accept-Encoding": "identity"})
        async with self._room_for_files:
            try:
                async with asyncio.timeout(self._timeout_s):
                    answered = await self._ask_any(target.origin, request, size)
            except (OSError, EOFError):
                return None
        return answered.body if answered and answered.status == 200 else None

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        timeout_s: float,
    ) -> Answered | None:
        """Return what is answered; None where it is not as simple as that.

        The request may reach the other side twice.

        Args:
            method: The HTTP method.
            url: Where.
            headers: More headers.
            body: What is sent; short, since nothing is read until it is.
            timeout_s: For all of it.

        Raises:
            OSError, EOFError: There is no answer.
        """
        target = Target(url)
        if target.origin in self._odd:
            return None
        if body is not None:
            headers = {**headers, "Content-Length": str(len(body))}
        request = _head(method, target, headers) + (body or b"")
        async with asyncio.timeout(timeout_s), self._room_for_calls:
            answered = await self._ask_any(target.origin, request)
        if answered is None:
            self._odd.add(target.origin)  # and every other call would be made twice
        return answered

    async def aclose(self) -> None:
        """Close the idle connections."""
        idle, self._idle = self._idle, {}
        for lines in idle.values():
            for line in lines:
                line.writer.transport.abort()
        await asyncio.sleep(0)  # the transports let go of their sockets in the next turn

    async def _ask_any(
        self, origin: Origin, request: bytes, size: int | None = None
    ) -> Answered | None:
        """Send a request over a connection that is kept, or a new one; see `_ask`."""
        while (kept := self._kept(origin)) is not None:
            try:
                return await self._ask(kept, origin, request, size)
            except (ConnectionError, EOFError):
                continue  # the other side had closed it meanwhile
        new = await self._new(origin)
        return None if new is None else await self._ask(new, origin, request, size)

    async def _ask(
        self, line: _Line, origin: Origin, request: bytes, size: int | None
    ) -> Answered | None:
        """Send a request and read its answer; None: it is odd, or no file of that size."""
        is_kept = False
        try:
            line.writer.write(request)
            try:
                head = await line.head()
            except asyncio.LimitOverrunError:
                return None
            status, length = _STATUS.match(head), _LENGTH.search(head)
            if status is None or length is None or _ODD.search(head):
                return None
            if size is not None and int(length[1]) != size:
                return None
            body = await line.body(int(length[1]))
            is_kept = not _CLOSES.search(head)
            return Answered(int(status[1]), _Fields(head), body)
        finally:
            if is_kept:
                self._idle.setdefault(origin, []).append(line)
            else:
                line.writer.transport.abort()

    def _kept(self, origin: Origin) -> _Line | None:
        idle = self._idle.get(origin, [])
        while idle:
            line = idle.pop()
            if line.is_idle:
                return line
            line.writer.transport.abort()
        return None

    async def _new(self, origin: Origin) -> _Line | None:
        if proxy_for(origin) is not None:
            return None
        tls = await self._certificates() if origin[0] == "https" else None
        return await _Line.to(origin, tls)


class _Fields:
    """The header fields of an answer, read when somebody asks: seldom, where all went well."""

    def __init__(self, head: bytes) -> None:
        self._head = head

    def get(self, name: str, /) -> str | None:
        """Return a field, whatever the case of its name."""
        wanted = name.lower()
        for line in self._head.decode("latin-1").split("\r\n")[1:]:
            field, colon, value = line.partition(":")
            if colon and field.lower() == wanted:
                return value.strip()
        return None


def _head(method: str, target: Target, headers: Mapping[str, str]) -> bytes:
    fields = [f"{name}: {value}" for name, value in headers.items()]
    lines = [f"{method} {target.path} HTTP/1.1", f"Host: {target.host}", *fields]
    if any("\n" in line or "\r" in line for line in lines):
        raise ValueError("a header field, such as the token, must not hold a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
