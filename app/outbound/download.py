"""Downloads from URLs of users."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpcore2
import httpx2

from app.http.problems import TooLarge
from app.outbound.addresses import Allowed
from app.outbound.connection import CheckedBackend, Resolver, resolve
from app.outbound.content_encoding import decoded, is_compressed_file, is_encoded
from app.outbound.errors import UrlUnreachable
from app.outbound.file_names import file_name_of
from app.outbound.requests import checked, mapped, public_certificates, request, text_of

MAX_REDIRECTS = 5
SILENCE_S = 30.0
"""Time limit for the first byte, including all redirects, and between bytes after it."""
WHOLE_S = 6 * 3600.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WHOLE_FILE = frozenset({200, 203})


@dataclass(frozen=True, slots=True)
class Download:
    """Response whose body can be read once.

    Attributes:
        name: The name of the file, from the caller, the response or the URL.
        content_type: The header Content-Type; None if it describes another form of the file.
        body: The bytes of the file.
    """

    name: str
    content_type: str | None
    body: AsyncIterator[bytes]


class Downloader:
    """Downloads http(s) URLs of public addresses, without credentials, cookies or proxies.

    Each download has its own connections, so that nothing is shared between users.
    """

    def __init__(
        self,
        allowed: Allowed,
        *,
        max_bytes: int,
        resolver: Resolver = resolve,
        tls: ssl.SSLContext | None = None,
        silence_s: float = SILENCE_S,
        whole_s: float = WHOLE_S,
    ) -> None:
        self._backend = CheckedBackend(allowed, resolver)
        self._max_bytes = max_bytes
        self._tls = tls or public_certificates()
        self._silence_s = silence_s
        self._whole_s = whole_s

    @asynccontextmanager
    async def get(self, url: str, *, name: str | None = None) -> AsyncIterator[Download]:
        """Request a URL, following redirects; reading the body raises the same errors.

        A body with a Content-Encoding is decompressed, unless the file itself is compressed: many
        servers send `a.tar.gz` with `Content-Encoding: gzip`.

        Args:
            url: The URL.
            name: The name of the file; None for the name that the server gives.

        Raises:
            UrlNotAllowed: The URL, or one that it redirects to, is not allowed.
            UrlUnreachable: The server cannot be reached, or its response is not a file.
            TooLarge: The file is larger than the limit.
        """
        target = checked(url)
        pool = httpcore2.AsyncConnectionPool(
            ssl_context=self._tls, max_connections=1, network_backend=self._backend
        )
        async with pool:
            with mapped():
                async with asyncio.timeout(self._silence_s):
                    target, response = await self._follow(pool, target)
            try:
                headers = {name.lower(): text_of(value) for name, value in response.headers}
                self._check_length(headers.get(b"content-length", ""))
                yield self._download(target, name, headers, _read(response))
            finally:
                await response.aclose()

    def _download(
        self,
        url: httpx2.URL,
        name: str | None,
        headers: Mapping[bytes, str],
        body: AsyncIterator[bytes],
    ) -> Download:
        served_name = file_name_of(url, headers.get(b"content-disposition"))
        content_type = headers.get(b"content-type")
        encoding = headers.get(b"content-encoding", "")
        names = (served_name, url.path, name or "")
        if is_encoded(encoding):
            if is_compressed_file(names, content_type):
                content_type = content_type if is_compressed_file((), content_type) else None
            else:
                body = decoded(body, encoding)
        return Download(name or served_name, content_type, self._limited(body))

    async def _follow(
        self, pool: httpcore2.AsyncConnectionPool, url: httpx2.URL
    ) -> tuple[httpx2.URL, httpcore2.Response]:
        for _ in range(MAX_REDIRECTS + 1):
            response = await pool.handle_async_request(
                request("GET", url, {}, silence_s=self._silence_s)
            )
            if response.status in _WHOLE_FILE:
                return url, response
            await response.aclose()
            if response.status not in _REDIRECTS:
                raise UrlUnreachable(
                    f"The server {url.host} responded with status {response.status}."
                )
            url = _redirected(url, response)
        raise UrlUnreachable(f"The URL redirects more than {MAX_REDIRECTS} times.")

    def _check_length(self, declared: str) -> None:
        if declared.isdigit() and int(declared) > self._max_bytes:
            raise TooLarge(f"The file has {declared} bytes; the limit is {self._max_bytes}.")

    async def _limited(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._whole_s
        size = 0
        with mapped():
            async for piece in body:
                size += len(piece)
                if size > self._max_bytes:
                    raise TooLarge(f"The file is larger than the limit of {self._max_bytes} bytes.")
                if loop.time() > deadline:
                    raise UrlUnreachable(
                        f"The download took longer than the limit of {self._whole_s:g} s."
                    )
                yield piece


async def _read(response: httpcore2.Response) -> AsyncIterator[bytes]:
    async for piece in response.aiter_stream():
        yield piece


def _redirected(url: httpx2.URL, response: httpcore2.Response) -> httpx2.URL:
    for name, value in response.headers:
        if name.lower() == b"location":
            try:
                return checked(str(url.join(text_of(value))))
            except httpx2.InvalidURL:
                break
    raise UrlUnreachable(f"The server {url.host} sent a redirect without a valid Location header.")
