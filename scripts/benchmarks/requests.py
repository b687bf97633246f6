"""HTTP connection for benchmarks that takes little CPU time of the caller."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import orjson


class Connection:
    """One kept-alive connection to the service."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._address = (str(parts.hostname), parts.port or 80)
        self._head = f"Host: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"

    async def __aenter__(self) -> Self:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection(*self._address)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect."""
        self._writer.close()
        await self._writer.wait_closed()

    async def get(self, path: str) -> Any:
        """Send a GET request; return the JSON of the response."""
        return await self._request("GET", path, b"")

    async def post(self, path: str, body: bytes, token: str | None = None) -> Any:
        """Post JSON, with `token` or that of the connection; return the JSON of the response."""
        return await self._request("POST", path, body, token)

    async def _request(self, method: str, path: str, body: bytes, token: str | None = None) -> Any:
        head = self._head
        if token is not None:
            head = f"{head.partition('Authorization')[0]}Authorization: Bearer {token}\r\n"
        self._writer.write(
            f"{method} {path} HTTP/1.1\r\n{head}Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        content = await self._reader.readexactly(length)
        if not answer.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(f"{method} {path}: {answer[:100]!r} {content[:500]!r}")
        return orjson.loads(content)
