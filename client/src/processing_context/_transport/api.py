"""API client of the service: authentication, retries, idempotency keys, errors by status."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from processing_context import errors
from processing_context._tokens import clean_token
from processing_context._transport.network import Network, Stream, UnreachedError, silent_for
from processing_context._transport.retry import RETRIES, Retry, Retryable, is_retried
from processing_context._transport.transfer import Answered

M = TypeVar("M", bound=BaseModel)
A = TypeVar("A", Answered, Stream)
T = TypeVar("T")


def dumps(value: Any) -> bytes:
    """Return a value as JSON, with bytes as base64.

    Raises:
        ValueError: A part of the value has no JSON form, such as NaN or infinity.
    """
    if isinstance(value, BaseModel):
        value = value.model_dump()  # a model's own JSON turns NaN into null
    plain = to_jsonable_python(value, bytes_mode="base64", inf_nan_mode="constants")
    return json.dumps(plain, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def segment(value: str, what: str) -> str:
    """Return an id, quoted as a segment of a path.

    Raises:
        ValueError: The id is empty or not a string.
    """
    if not isinstance(value, str) or not value:
        raise ValueError(f"{what} must be a non-empty string, not {value!r}")
    return quote(value, safe="")


def transfer_headers() -> dict[str, str]:
    """Return the headers of requests for presigned URLs that only this process uses.

    Workers inside the service's network transfer bytes by storage's internal address. URLs that are
    handed out, as by `get_asset_url`, have the public address.
    """
    network = os.environ.get("CONTEXT_STORAGE_NETWORK")
    return {"X-Storage-Network": network} if network else {}


class Api:
    """API client of the service.

    Args:
        base_url: URL of the service; it may have a path.
        token: Sent as a bearer token; white space around it is removed.
        network: Connections; closed by their owner.
        timeout_s: Limit to connect, and between two bytes.
        retries: How often a call is repeated after a dropped connection, 429, 502, 503 or 504.

    Attributes:
        traceparent: Sent with every call (W3C Trace Context), if set.
    """

    def __init__(
        self,
        base_url: str | None,
        token: str | None,
        network: Network,
        *,
        timeout_s: float = 60.0,
        retries: int = RETRIES,
    ) -> None:
        self.traceparent: str | None = None
        self._base_url = _checked(base_url) if base_url else None
        self._token = clean_token(token, "token=") if token else None
        self._network = network
        self._timeout_s = timeout_s
        self._retries = retries

    @property
    def is_configured(self) -> bool:
        """True if the URL of the service is set."""
        return self._base_url is not None

    @property
    def base_url(self) -> str:
        """URL of the service, without a trailing slash."""
        if self._base_url is None:
            raise ValueError("the URL of the service is missing: pass base_url= or set CONTEXT_URL")
        return self._base_url

    @property
    def token(self) -> str | None:
        """The bearer token."""
        return self._token

    @property
    def is_job_token(self) -> bool:
        """True if the token is the token of a lease."""
        return self._token is not None and self._token.startswith("job_")

    def auth_headers(self) -> dict[str, str]:
        """Return the headers of every request to the service."""
        headers = {"User-Agent": "processing-context"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if self.traceparent:
            headers["traceparent"] = self.traceparent
        return headers

    async def get(
        self,
        path: str,
        reply: type[M],
        *,
        params: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> M:
        """Send a GET request; query parameters with the value None are omitted."""
        answered = await self.request("GET", path, params=params, **options)
        return reply.model_validate_json(answered.body)

    async def post(
        self,
        path: str,
        reply: type[M],
        *,
        body: Any = None,
        creates: bool = False,
        **options: Any,
    ) -> M:
        """Send a POST request with a JSON body; `creates` adds an idempotency key."""
        content = None if body is None else dumps(body)
        answered = await self.request(
            "POST", path, content=content, is_json=True, creates=creates, **options
        )
        return reply.model_validate_json(answered.body)

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
    ) -> Answered:
        """Send a request, with retries, and return its response.

        Args:
            method: The HTTP method.
            path: Path below the base URL, with its leading slash.
            params: The query; entries with the value None are omitted.
            content: The body.
            is_json: Set the content type of JSON.
            creates: Send an idempotency key, the same one with every retry.
            headers: Additional headers.
            timeout_s: Overrides the timeout of the context, for long polls.
            patience_s: Retry for this long instead of a number of times.
            is_hot: Use the faster path for frequent requests. It allows no `params`, and the
                request must be harmless when repeated.

        Raises:
            APIError: The service refused the request; the subclass depends on the status.
            ConnectionFailedError: The service could not be reached.
        """
        sent = self.auth_headers() | dict(headers or {})
        if is_json and content is not None:
            sent["Content-Type"] = "application/json"
        if creates:
            sent["Idempotency-Key"] = uuid.uuid4().hex
        request: dict[str, Any] = {
            "headers": sent,
            "content": content,
            "timeout": self._timeout_s if timeout_s is None else timeout_s,
        }
        ask: Callable[..., Awaitable[Answered]] = self._network.ask
        if is_hot and not self._network.has_given_client:
            ask = self._network.ask_bulk
        elif params is not None:
            request["params"] = _given(params)
        url = self.base_url + path

        async def attempt() -> Answered:
            return _accepted(await _reached(method, url, ask(method, url, **request)))

        return await Retry(self._retries, patience_s).call(attempt)

    @property
    def may_hold_connections(self) -> bool:
        """True if requests may stay open for hours.

        False for clients of the caller and for job tokens: their connections are shared with other
        calls.
        """
        return not (self._network.has_given_client or self.is_job_token)

    async def stream(self, path: str, body: Any, *, accept: str, silence_s: float) -> Stream:
        """Send a POST request that creates an object, and return the response when it begins.

        Args:
            path: Path below the base URL.
            body: The JSON body.
            accept: Media type of the stream.
            silence_s: Limit between two bytes of the response.

        Raises:
            APIError: The service refused the request.
            ConnectionFailedError: The service could not be reached.
        """
        url = self.base_url + path
        request: dict[str, Any] = {
            "content": dumps(body),
            "headers": self.auth_headers()
            | {
                "Content-Type": "application/json",
                "Accept": accept,
                "Idempotency-Key": uuid.uuid4().hex,
            },
            "timeout": silent_for(silence_s, self._timeout_s),
        }

        async def attempt() -> Stream:
            begun = self._network.begin("POST", url, **request)
            return _accepted(await _reached("POST", url, begun))

        return await Retry(self._retries).call(attempt)

    async def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> bytes:
        """Return the body of a GET request to any URL, sent without the service's token.

        Raises:
            HTTPStatusError: The status is 400 or more.
        """
        request = {"headers": dict(headers or {}), "timeout": self._timeout_s}

        async def attempt() -> bytes:
            followed = self._network.follow(url, **request)
            answered, shown = await _reached("GET", url, followed)
            if answered.status < 400:
                return answered.body
            error = errors.HTTPStatusError(answered.status, shown)
            if is_retried(answered.status):
                raise Retryable(error, answered.headers.get("Retry-After"))
            raise error

        return await Retry(self._retries).call(attempt)


def _checked(base_url: str) -> str:
    if not base_url.startswith(("http://", "https://")):
        raise ValueError(f"base_url must begin with http:// or https://, not {base_url!r}")
    return base_url.rstrip("/")


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if value is not None}


async def _reached(method: str, url: str, asking: Awaitable[T]) -> T:
    """Return the result of a request, or raise that the server could not be reached."""
    try:
        return await asking
    except UnreachedError as exc:
        where = url.split("?", maxsplit=1)[0]
        error = errors.ConnectionFailedError(f"{method} {where}: {exc}")
        error.__cause__ = exc
        raise error if exc.is_final else Retryable(error) from exc


def _accepted(answered: A) -> A:
    """Return a successful response of the service, or raise the error of another one."""
    if answered.status < 400:
        return answered
    request_id = answered.headers.get("X-Request-Id")
    error = errors.from_body(answered.status, answered.body, request_id=request_id)
    if is_retried(answered.status, error.code):
        raise Retryable(error, answered.headers.get("Retry-After"))
    raise error
