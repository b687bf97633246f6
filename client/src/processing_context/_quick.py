"""Small files straight from storage, read in the loop itself: a thread costs more than the file.

Only the plainest answer counts. Whatever else comes (a refusal, a redirect, a dropped connection,
another length), the byte path asks again, and knows what to do about it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from ssl import SSLContext

from processing_context._connections import Origin, Target, proxy_for

AT_ONCE = 16
MOST_S = 10.0
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_ODD = re.compile(
    rb"\r\n(transfer-encoding|content-encoding|connection:[ \t]*close)", re.IGNORECASE
)

_Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class QuickGets:
    """Gets small objects over kept connections; for one loop.

    Args:
        timeout_s: For all of one file; at most ten seconds.
        certificates: Gives the SSL context of the byte path.
    """

    def __init__(
        self, *, timeout_s: float, certificates: Callable[[], Awaitable[SSLContext]]
    ) -> None:
        self._timeout_s = min(timeout_s, MOST_S)
        self._certificates = certificates
        self._idle: dict[Origin, list[_Pair]] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    async def get(self, url: str, size: int) -> bytes | None:
        """Return the `size` bytes of an object; None where it is not as simple as that."""
        target = Target(url)
        async with self._room:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._get(target, size)
            except (OSError, EOFError, asyncio.LimitOverrunError):
                return None

    async def aclose(self) -> None:
        """Close the idle connections."""
        idle, self._idle = self._idle, {}
        for pairs in idle.values():
            for _, writer in pairs:
                writer.transport.abort()
        await asyncio.sleep(0)  # the transports let go of their sockets in the next turn

    async def _get(self, target: Target, size: int) -> bytes | None:
        pair = await self._connection(target.origin)
        if pair is None:
            return None
        reader, writer = pair
        is_whole = False
        try:
            writer.write(
                f"GET {target.path} HTTP/1.1\r\nHost: {target.host}\r\n"
                "Accept-Encoding: identity\r\n\r\n".encode("ascii")
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            if not head.startswith(b"HTTP/1.1 200") or _ODD.search(head) or length is None:
                return None
            if int(length[1]) != size:
                return None
            body = await reader.readexactly(size)
            is_whole = True
            return body
        finally:
            if is_whole:
                self._idle.setdefault(target.origin, []).append(pair)
            else:
                writer.transport.abort()

    async def _connection(self, origin: Origin) -> _Pair | None:
        idle = self._idle.get(origin, [])
        while idle:
            reader, writer = idle.pop()
            if not (reader.at_eof() or writer.is_closing()):
                return reader, writer
            writer.transport.abort()
        if proxy_for(origin) is not None:
            return None
        scheme, host, port = origin
        tls = await self._certificates() if scheme == "https" else None
        return await asyncio.open_connection(host, port, ssl=tls)
