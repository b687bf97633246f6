"""The ways out of this process: the only importer of httpx2."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator
from functools import cached_property
from http.client import HTTPException
from typing import Any

import httpx2

from processing_context._transport.bulk import Bulk
from processing_context._transport.quick import QuickCalls
from processing_context._transport.transfer import Answered, Headers

_FINAL_FAILURES = (
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
    httpx2.TooManyRedirects,
    httpx2.DecodingError,
)

SHORT_BYTES = 64 * 1024
"""What takes no time worth a word on any line; a longer body has its time from block to block."""


def ssl_context() -> ssl.SSLContext:
    """Return httpx2's certificates: `SSL_CERT_FILE`, `SSL_CERT_DIR`, else certifi's."""
    return httpx2.create_ssl_context()


class UnreachedError(Exception):
    """There is no answer; `is_final` where asking again gives none either."""

    def __init__(self, exc: Exception) -> None:
        super().__init__(str(exc) or type(exc).__name__)
        self.is_final = _is_final(exc)


class Network:
    """What a context, its copies and the jobs of a worker reach the outside with.

    Each part is made when it is first used.

    Args:
        timeout_s: To connect, and between two bytes.
        retries: How often the byte path takes a transfer up again.
        client: Of the caller's: it alone serves the API calls, and is not closed by us.
        lender: Whose httpx2 client and certificates are used, since each costs much to make; all
            else is our own, so that nobody waits behind somebody else's transfers.
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        retries: int,
        client: httpx2.AsyncClient | None = None,
        lender: Network | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._retries = retries
        self._given = client
        self._lender = lender
        self._client: httpx2.AsyncClient | None = None
        self._tls: ssl.SSLContext | None = None
        self._tls_lock = threading.Lock()

    @property
    def has_given_client(self) -> bool:
        """Whether a client of the caller's serves the API calls."""
        return self._given is not None

    @property
    def client(self) -> httpx2.AsyncClient:
        """The connections of the API calls, by httpx2."""
        if self._given is not None:
            return self._given
        if self._lender is not None:
            return self._lender.client
        if self._client is None:
            self._client = httpx2.AsyncClient(limits=httpx2.Limits(max_keepalive_connections=20))
        return self._client

    @cached_property
    def bulk(self) -> Bulk:
        """Large bodies, in threads."""
        return Bulk(timeout_s=self._timeout_s, retries=self._retries, make_ssl_context=ssl_context)

    @cached_property
    def quick(self) -> QuickCalls:
        """Short calls in the loop."""
        return QuickCalls(timeout_s=self._timeout_s, certificates=self._certificates)

    async def aclose(self) -> None:
        """Close all connections that are ours."""
        made = self.__dict__
        if "quick" in made:
            await self.quick.aclose()
        if "bulk" in made:
            self.bulk.close()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def ask(self, method: str, url: str, **request: Any) -> Answered:
        """Return what is answered, whatever it is; `request` is as httpx2 takes it.

        Raises:
            UnreachedError: There is no answer.
        """
        try:
            response = await self.client.request(method, url, **request)
        except httpx2.RequestError as exc:
            raise UnreachedError(exc) from exc
        return Answered(response.status_code, response.headers, response.content)

    async def follow(self, url: str, **request: Any) -> tuple[Answered, str]:
        """Return what is answered to a GET where redirects lead, and where that is, query left out.

        Raises:
            UnreachedError: There is no answer.
        """
        try:
            response = await self.client.get(url, follow_redirects=True, **request)
        except httpx2.RequestError as exc:
            raise UnreachedError(exc) from exc
        answered = Answered(response.status_code, response.headers, response.content)
        return answered, str(response.url.copy_with(query=None, fragment=None))

    async def ask_quickly(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        content: bytes | None,
        timeout: float,
    ) -> Answered:
        """The same at a fraction of the CPU, for requests that may be repeated.

        Raises:
            UnreachedError: There is no answer.
        """
        answered = None
        try:
            if content is None or len(content) <= SHORT_BYTES:
                answered = await self.quick.exchange(
                    method, url, headers, content, timeout_s=timeout
                )
            return answered or await self.bulk.exchange(method, url, headers, content)
        except (OSError, EOFError, HTTPException) as exc:
            raise UnreachedError(exc) from exc

    async def begin(self, method: str, url: str, **request: Any) -> Stream:
        """Return an answer as soon as it begins; a refusal is read whole.

        Raises:
            UnreachedError: There is no answer.
        """
        client = self.client
        try:
            response = await client.send(client.build_request(method, url, **request), stream=True)
            if response.status_code >= 400:
                await response.aread()
        except httpx2.RequestError as exc:
            raise UnreachedError(exc) from exc
        return Stream(response)

    def certificates(self) -> ssl.SSLContext:
        """Return the certificates that are trusted; made at the first call, in any thread."""
        if self._lender is not None:
            return self._lender.certificates()
        with self._tls_lock:
            tls = self._tls or ssl_context()
            self._tls = tls
            return tls

    async def _certificates(self) -> ssl.SSLContext:
        if self._lender is not None:
            return await self._lender._certificates()
        if self._tls is None:
            return await asyncio.to_thread(self.certificates)
        return self._tls


class Stream:
    """An answer whose body has not been read.

    Args:
        response: The answer.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self.status = response.status_code
        self.headers: Headers = response.headers
        self._response = response

    @property
    def body(self) -> bytes:
        """The whole body of a refusal."""
        return self._response.content

    async def lines(self) -> AsyncIterator[str]:
        """Yield the lines of the body, to its end.

        Raises:
            UnreachedError: The connection broke, or nothing came for too long.
        """
        try:
            async for line in self._response.aiter_lines():
                yield line
        except httpx2.RequestError as exc:
            raise UnreachedError(exc) from exc

    async def aclose(self) -> None:
        """Read no more."""
        await self._response.aclose()


def silent_for(seconds: float, timeout_s: float) -> httpx2.Timeout:
    """Return httpx2's timeouts for an answer that may say nothing for some seconds."""
    return httpx2.Timeout(timeout_s, read=seconds)


def _is_final(exc: BaseException) -> bool:
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, (*_FINAL_FAILURES, ssl.SSLCertVerificationError)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
