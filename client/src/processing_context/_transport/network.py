"""Connections shared by a context, its copies and the jobs of a worker; the only user of httpx2."""

from __future__ import annotations

import asyncio
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import httpx2

from processing_context._transport.bulk import Bulk
from processing_context._transport.exchange import DROPPED
from processing_context._transport.transfer import Answered, Headers
from processing_context.errors import ContextError

if TYPE_CHECKING:
    import httpx

    AsyncClient = httpx2.AsyncClient | httpx.AsyncClient

_FINAL_FAILURES = frozenset(
    {"UnsupportedProtocol", "LocalProtocolError", "TooManyRedirects", "DecodingError"}
)
"""Names of errors in httpx2 and httpx that another attempt would raise again."""


def ssl_context() -> ssl.SSLContext:
    """Return httpx2's trusted certificates: `SSL_CERT_FILE`, `SSL_CERT_DIR`, else the system's."""
    return httpx2.create_ssl_context()


class UnreachedError(Exception):
    """No response was received; `is_final` is true if a retry would not help."""

    def __init__(self, exc: Exception) -> None:
        super().__init__(str(exc) or type(exc).__name__)
        self.is_final = _is_final(exc)


class Network:
    """Connections for the API calls and for bodies; each kind is created on first use.

    Args:
        timeout_s: Limit to connect, and between two bytes.
        retries: How often a transfer of the bulk path is repeated.
        client: A client of the caller that serves the API calls, and is not closed here.
        lender: Network whose httpx2 client and certificates are shared, since they are slow to
            create. Other connections are separate, so that contexts do not wait for each
            other's transfers.
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        retries: int,
        client: AsyncClient | None = None,
        lender: Network | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._retries = retries
        self._given = client
        self._lender = lender
        self._client: httpx2.AsyncClient | None = None
        self._tls: ssl.SSLContext | None = None
        self._tls_lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_lock = threading.Lock()
        self._is_closed = False

    @property
    def has_given_client(self) -> bool:
        """True if a client of the caller serves the API calls."""
        return self._given is not None

    @property
    def client(self) -> httpx2.AsyncClient:
        """The client of the API calls; clients of httpx have the same interface.

        Raises:
            ContextError: The context is closed, or belongs to another event loop.
        """
        if self._is_closed:
            raise ContextError("the context is closed: create a new ProcessingContext")
        self.check_loop()
        if self._given is not None:
            return cast("httpx2.AsyncClient", self._given)
        if self._lender is not None:
            return self._lender.client
        if self._client is None:
            self._client = httpx2.AsyncClient(limits=httpx2.Limits(max_keepalive_connections=20))
        return self._client

    @cached_property
    def bulk(self) -> Bulk:
        """The `http.client` connections for bodies and short calls."""
        return Bulk(
            timeout_s=self._timeout_s, retries=self._retries, make_ssl_context=self.certificates
        )

    def check_loop(self) -> None:
        """Check that the running event loop is the one of the first call; thread-safe.

        Raises:
            ContextError: It is another one.
        """
        running = asyncio.get_running_loop()
        with self._loop_lock:
            if self._loop is None:
                self._loop = running
        if self._loop is not running:
            raise ContextError(
                "the context belongs to the event loop that used it first, and this is another "
                "one: create a ProcessingContext in each event loop"
            )

    async def aclose(self) -> None:
        """Close all connections except those of the caller or the lender."""
        self._is_closed = True
        self.bulk.close()
        client, self._client = self._client, None
        # In another loop the connections cannot be closed; they end with their own loop.
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()

    async def ask(self, method: str, url: str, **request: Any) -> Answered:
        """Return the response to a request, whatever its status; `request` as in httpx2.

        Raises:
            UnreachedError: There was no response.
        """
        client = self.client
        try:
            response = await client.request(method, url, **request)
        except _request_error(client) as exc:
            raise UnreachedError(exc) from exc
        return Answered(response.status_code, response.headers, response.content)

    async def follow(self, url: str, **request: Any) -> tuple[Answered, str]:
        """Return the response to a GET after its redirects, and the final URL without its query.

        Raises:
            UnreachedError: There was no response.
        """
        client = self.client
        try:
            response = await client.get(url, follow_redirects=True, **request)
        except _request_error(client) as exc:
            raise UnreachedError(exc) from exc
        answered = Answered(response.status_code, response.headers, response.content)
        return answered, str(response.url.copy_with(query=None, fragment=None))

    async def ask_bulk(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None,
        timeout: float,
    ) -> Answered:
        """Send a request as `ask` does, with less CPU; the request must be harmless when repeated.

        Raises:
            UnreachedError: There was no response.
        """
        try:
            return await self.bulk.request(
                method, url, headers=headers, content=content, timeout=timeout
            )
        except DROPPED as exc:
            raise UnreachedError(exc) from exc

    async def begin(self, method: str, url: str, **request: Any) -> Stream:
        """Return a response when it begins; the body is read if the status is 400 or more.

        Raises:
            UnreachedError: There was no response.
        """
        client = self.client
        failure = _request_error(client)
        try:
            response = await client.send(client.build_request(method, url, **request), stream=True)
            if response.status_code >= 400:
                await response.aread()
        except failure as exc:
            raise UnreachedError(exc) from exc
        return Stream(response, failure)

    def certificates(self) -> ssl.SSLContext:
        """Return the trusted certificates, which are loaded once; thread-safe."""
        if self._lender is not None:
            return self._lender.certificates()
        with self._tls_lock:
            if self._tls is None:
                self._tls = ssl_context()
            return self._tls


class Stream:
    """Response whose body has not been read.

    Args:
        response: The response.
        failure: Error class that `response` raises when the connection breaks.
    """

    def __init__(self, response: httpx2.Response, failure: type[Exception]) -> None:
        self.status = response.status_code
        self.headers: Headers = response.headers
        self._response = response
        self._failure = failure

    @property
    def body(self) -> bytes:
        """The whole body of a response with a status of 400 or more."""
        return self._response.content

    async def lines(self) -> AsyncIterator[str]:
        """Yield the lines of the body.

        Raises:
            UnreachedError: The connection broke, or was silent for too long.
        """
        try:
            async for line in self._response.aiter_lines():
                yield line
        except self._failure as exc:
            raise UnreachedError(exc) from exc

    async def aclose(self) -> None:
        """Stop reading and close the response."""
        await self._response.aclose()


def silent_for(seconds: float, timeout_s: float) -> tuple[float, float, float, float]:
    """Return the limits to connect, read, write and wait, for a stream with silent periods."""
    return (timeout_s, seconds, timeout_s, timeout_s)


def _request_error(client: httpx2.AsyncClient) -> type[Exception]:
    """Return the base class of request errors in the library of a client: httpx2 or httpx."""
    httpx = sys.modules.get("httpx")
    if httpx is not None and isinstance(client, httpx.AsyncClient):
        error: type[Exception] = httpx.RequestError
        return error
    return httpx2.RequestError


def _is_final(exc: BaseException) -> bool:
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        if type(cause).__name__ in _FINAL_FAILURES:
            return True
        cause = cause.__cause__ or cause.__context__
    return False
