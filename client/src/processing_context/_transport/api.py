"""API calls: auth, retries, idempotency keys, errors by status."""

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
from processing_context._transport.network import Network, Stream, UnreachedError, silent_for
from processing_context._transport.retry import RETRIES, Retry, Retryable, is_retried
from processing_context._transport.transfer import Answered

M = TypeVar("M", bound=BaseModel)
A = TypeVar("A", Answered, Stream)
T = TypeVar("T")


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


class Api:
    """The service's API.

    Args:
        base_url: Where the service is; a path in it is kept.
        token: Sent as a bearer token.
        network: Carries the calls; closed by whom it belongs to.
        timeout_s: To connect, and between two bytes.
        retries: How often a call is repeated after a dropped connection, 429, 502, 503 or 504.

    Attributes:
        traceparent: Sent with every call (W3C Trace Context), where there is one.
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
        self._token = token
        self._network = network
        self._timeout_s = timeout_s
        self._retries = retries

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
        answered = await self.request(
            "GET", path, params=params, patience_s=patience_s, is_hot=is_hot
        )
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
        """Post JSON. `creates`: with a key, so that a retry never makes two."""
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
        """Whether a request may last for hours: others' calls may have to share the connections."""
        return not (self._network.has_given_client or self.is_job_token)

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
        """GET any URL, without the token of the service.

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
    """Return what a request gives, or raise that the server could not be reached."""
    try:
        return await asking
    except UnreachedError as exc:
        where = url.split("?", maxsplit=1)[0]
        error = errors.ConnectionFailedError(f"{method} {where}: {exc}")
        error.__cause__ = exc
        raise error if exc.is_final else Retryable(error) from exc


def _accepted(answered: A) -> A:
    """Return an answer of the service, or raise its error."""
    if answered.status < 400:
        return answered
    request_id = answered.headers.get("X-Request-Id")
    error = errors.from_body(answered.status, answered.body, request_id=request_id)
    if is_retried(answered.status, error.code):
        raise Retryable(error, answered.headers.get("Retry-After"))
    raise error
