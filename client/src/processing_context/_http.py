"""API calls: the only importer of httpx. Auth, retries, idempotency keys, errors by status."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import ssl
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from processing_context import errors
from processing_context._bytes import Bytes
from processing_context._retry import RETRIED_STATUSES, Retry

if importlib.util.find_spec("sniffio") is None:
    # httpcore asks for it several times a request, and where it is not installed each asking
    # searches the path: a fifth of a request's CPU. None says "not there" at once.
    sys.modules["sniffio"] = None  # type: ignore[assignment]

M = TypeVar("M", bound=BaseModel)

# What repeating cannot mend, or what the contract says not to repeat by oneself.
_FINAL_CODES = frozenset({"provider_error"})
_RETRIED_CODES = frozenset({"idempotency_in_flight"})
_FINAL_FAILURES = (
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.TooManyRedirects,
    httpx.DecodingError,
)


def ssl_context() -> ssl.SSLContext:
    """Return httpx's certificates: `SSL_CERT_FILE`, `SSL_CERT_DIR`, else certifi's."""
    return httpx.create_ssl_context()


def dumps(value: Any) -> bytes:
    """Return a value as JSON; bytes inside become base64.

    Raises:
        ValueError: It holds something that JSON has no form for, NaN and infinity included.
    """
    if isinstance(value, BaseModel):
        value = value.model_dump()  # a model's own JSON turns NaN into null, in silence
    plain = to_jsonable_python(value, bytes_mode="base64", inf_nan_mode="constants")
    return json.dumps(plain, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def segment(value: str, what: str) -> str:
    """Return an id as one segment of a path.

    Raises:
        ValueError: It is empty or no string.
    """
    if not isinstance(value, str) or not value:
        raise ValueError(f"{what} is missing: {value!r}")
    return quote(value, safe="")


class Http:
    """The service's API over one connection pool, made at the first call.

    Args:
        base_url: Where the service is; a path in it is kept.
        token: Sent as a bearer token.
        timeout_s: To connect, and between two bytes.
        retries: How often a call is repeated after a dropped connection, 429, 502, 503 or 504.
        client: Used instead of one of our own, and not closed by us.
        transport: Carries the short calls of `is_hot`, unless there is a `client`: httpx spends
            several times their CPU when many run at once.

    Attributes:
        traceparent: Sent with every call (W3C Trace Context), where there is one.
    """

    def __init__(
        self,
        base_url: str | None,
        token: str | None,
        *,
        timeout_s: float = 60.0,
        retries: int = 6,
        client: httpx.AsyncClient | None = None,
        transport: Bytes | None = None,
    ) -> None:
        self.traceparent: str | None = None
        self._base_url = _checked(base_url) if base_url else None
        self._token = token
        self._timeout_s = timeout_s
        self._retries = retries
        self._client = client
        self._owns_client = client is None
        self._transport = transport if client is None else None

    @property
    def is_configured(self) -> bool:
        """Whether there is a service to talk to."""
        return self._base_url is not None

    @property
    def base_url(self) -> str:
        """Where the service is, without a slash at the end."""
        if self._base_url is None:
            raise ValueError("no service is named: give base_url=, or set CONTEXT_URL")
        return self._base_url

    @property
    def token(self) -> str | None:
        """What is sent as a bearer token."""
        return self._token

    @property
    def client(self) -> httpx.AsyncClient:
        """The connection pool, for other contexts of the same loop to share."""
        return self._connected()

    @property
    def is_job_token(self) -> bool:
        """Whether the token is that of a lease."""
        return self._token is not None and self._token.startswith("job_")

    def auth_headers(self) -> dict[str, str]:
        """Return what every request to the service carries."""
        headers = {"User-Agent": "processing-context"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if network := os.environ.get("CONTEXT_STORAGE_NETWORK"):
            # A worker in the service's own network gets URLs for the storage's inner address.
            headers["X-Storage-Network"] = network
        if self.traceparent:
            headers["traceparent"] = self.traceparent
        return headers

    async def get(
        self,
        path: str,
        reply: type[M],
        *,
        params: Mapping[str, Any] | None = None,
        patience_s: float | None = None,
        is_hot: bool = False,
    ) -> M:
        """Return what is at a path; parameters that are None are left out."""
        response = await self.request(
            "GET", path, params=params, patience_s=patience_s, is_hot=is_hot
        )
        return reply.model_validate_json(response.content)

    async def post(
        self,
        path: str,
        reply: type[M],
        *,
        body: Any = None,
        creates: bool = False,
        **options: Any,
    ) -> M:
        """Post JSON. `creates`: with a key, so that a retry never makes two."""
        content = None if body is None else dumps(body)
        response = await self.request(
            "POST", path, content=content, is_json=True, creates=creates, **options
        )
        return reply.model_validate_json(response.content)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        is_json: bool = False,
        creates: bool = False,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        patience_s: float | None = None,
        is_hot: bool = False,
    ) -> httpx.Response:
        """Send a request until it is answered with something else than "try again".

        Args:
            method: The HTTP method.
            path: Below the base URL, with its slash.
            params: The query; what is None is left out.
            content: The body.
            is_json: Whether `content` is JSON.
            creates: Send an idempotency key, the same one with every retry.
            headers: More headers.
            timeout_s: Instead of the context's own, for long polls.
            patience_s: Retry for this long instead of a number of times.
            is_hot: Whether very many of these run at once; without `params`, and harmless when
                repeated.

        Raises:
            APIError: The service refused; its subclass by the status.
            ConnectionFailedError: It could not be reached.
        """
        sent = self.auth_headers() | dict(headers or {})
        if is_json and content is not None:
            sent["Content-Type"] = "application/json"
        if creates:
            sent["Idempotency-Key"] = uuid.uuid4().hex
        response = await self._send(
            method,
            self.base_url + path,
            Retry(self._retries, patience_s),
            params=None if params is None else _given(params),
            content=content,
            headers=sent,
            timeout=self._timeout_s if timeout_s is None else timeout_s,
            is_hot=is_hot,
        )
        if response.status_code >= 400:
            raise _error(response)
        return response

    @property
    def may_hold_connections(self) -> bool:
        """Whether a request may last for hours: a caller's own client may have few connections."""
        return self._owns_client

    async def stream(self, path: str, body: Any, *, accept: str, silence_s: float) -> Stream:
        """Post JSON that makes something, and return the answer as soon as it begins.

        Args:
            path: Below the base URL.
            body: The JSON.
            accept: What kind of stream.
            silence_s: How long the service may say nothing.

        Raises:
            APIError: The service refused.
            ConnectionFailedError: It could not be reached.
        """
        response = await self._send(
            "POST",
            self.base_url + path,
            Retry(self._retries),
            content=dumps(body),
            headers=self.auth_headers()
            | {
                "Content-Type": "application/json",
                "Accept": accept,
                "Idempotency-Key": uuid.uuid4().hex,
            },
            timeout=httpx.Timeout(self._timeout_s, read=silence_s),
            is_stream=True,
        )
        if response.status_code >= 400:
            raise _error(response)
        return Stream(response)

    async def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> bytes:
        """GET any URL, without the token of the service.

        Raises:
            HTTPStatusError: The status is 400 or more.
        """
        response = await self._send(
            "GET",
            url,
            Retry(self._retries),
            headers=dict(headers or {}),
            follow_redirects=True,
            timeout=self._timeout_s,
        )
        if response.status_code >= 400:
            shown = str(response.url.copy_with(query=None, fragment=None))
            raise errors.HTTPStatusError(response.status_code, shown, response.reason_phrase)
        return response.content

    async def aclose(self) -> None:
        """Close the connections, if they are ours."""
        if self._client is not None and self._owns_client:
            await self._client.aclose()
            self._client = None

    async def _send(
        self,
        method: str,
        url: str,
        retry: Retry,
        *,
        is_hot: bool = False,
        is_stream: bool = False,
        **request: Any,
    ) -> httpx.Response:
        while True:
            try:
                if is_hot and self._transport is not None:
                    response = await _sent(self._transport, method, url, request)
                elif is_stream:
                    response = await _begun(self._connected(), method, url, request)
                else:
                    response = await self._connected().request(method, url, **request)
            except httpx.RequestError as exc:
                delay = None if _is_final(exc) else retry.next_delay_s()
                if delay is None:
                    raise _unreachable(method, url, exc) from exc
            else:
                if not _is_retried(response):
                    return response
                delay = retry.next_delay_s(response.headers.get("Retry-After"))
                if delay is None:
                    return response
            await asyncio.sleep(delay)

    def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=20))
        return self._client


class Stream:
    """An answer whose body has not been read.

    Args:
        response: The answer.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.headers: Mapping[str, str] = response.headers
        self._response = response

    async def lines(self) -> AsyncIterator[str]:
        """Yield the lines of the body, to its end.

        Raises:
            ConnectionFailedError: The connection broke, or nothing came for too long.
        """
        try:
            async for line in self._response.aiter_lines():
                yield line
        except httpx.RequestError as exc:
            request = self._response.request
            raise _unreachable(request.method, str(request.url), exc) from exc

    async def aclose(self) -> None:
        """Read no more."""
        await self._response.aclose()


async def _begun(
    client: httpx.AsyncClient, method: str, url: str, request: Mapping[str, Any]
) -> httpx.Response:
    response = await client.send(client.build_request(method, url, **request), stream=True)
    if response.status_code >= 400:
        await response.aread()
    return response


async def _sent(
    transport: Bytes, method: str, url: str, request: Mapping[str, Any]
) -> httpx.Response:
    try:
        answered = await transport.exchange(method, url, request["headers"], request["content"])
    except (OSError, HTTPException) as exc:
        raise httpx.TransportError(str(exc) or type(exc).__name__) from exc
    return httpx.Response(answered.status, headers=answered.headers, content=answered.body)


def _checked(base_url: str) -> str:
    if not base_url.startswith(("http://", "https://")):
        raise ValueError(f"base_url must begin with http:// or https://, not {base_url!r}")
    return base_url.rstrip("/")


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if value is not None}


def _code(response: httpx.Response) -> str | None:
    try:
        body = response.json()
    except ValueError:
        return None
    return body.get("code") if isinstance(body, dict) else None


def _is_retried(response: httpx.Response) -> bool:
    if response.status_code == 409:
        return _code(response) in _RETRIED_CODES
    return response.status_code in RETRIED_STATUSES and _code(response) not in _FINAL_CODES


def _is_final(exc: httpx.RequestError) -> bool:
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, (*_FINAL_FAILURES, ssl.SSLCertVerificationError)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _unreachable(method: str, url: str, exc: Exception) -> errors.ConnectionFailedError:
    return errors.ConnectionFailedError(
        f"{method} {url.split('?', maxsplit=1)[0]}: {str(exc) or type(exc).__name__}"
    )


def _error(response: httpx.Response) -> errors.APIError:
    return errors.from_body(
        response.status_code,
        response.content,
        request_id=response.headers.get("X-Request-Id"),
    )
