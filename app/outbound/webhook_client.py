"""HTTP client that posts webhooks to URLs of users."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import httpcore2

from app.outbound.addresses import Allowed, parsed
from app.outbound.connection import CheckedBackend, Resolver, resolve
from app.outbound.errors import UrlUnreachable
from app.outbound.requests import checked, mapped, public_certificates, request, text_of

CHECK_S = 5.0
"""Time limit of `check` for resolving a name."""
ANSWER_BYTES = 4096
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Answer:
    """Response to a POST, with the first `ANSWER_BYTES` of its body."""

    status_code: int
    retry_after: str | None
    body: bytes


class WebhookClient:
    """Posts to http(s) URLs of public addresses, without credentials, cookies or proxies.

    Redirects are not followed; they are returned like other responses.
    """

    def __init__(
        self,
        allowed: Allowed,
        *,
        timeout_s: float,
        resolver: Resolver = resolve,
        tls: ssl.SSLContext | None = None,
        check_s: float = CHECK_S,
    ) -> None:
        self._allowed = allowed
        self._backend = CheckedBackend(allowed, resolver)
        self._timeout_s = timeout_s
        self._check_s = check_s
        self._tls = tls or public_certificates()

    async def check(self, url: str) -> None:
        """Check that a URL is allowed at this time.

        A host that cannot be resolved, or not in time, passes; `post` checks it again.

        Raises:
            UrlNotAllowed: The URL or its address is not allowed.
        """
        target = checked(url)
        host = target.raw_host.decode("ascii")
        if literal := parsed(host):
            self._allowed.check(host, [literal])
            return
        with suppress(UrlUnreachable, TimeoutError):
            async with asyncio.timeout(self._check_s):
                await self._backend.addresses(host, target.port or _PORTS[target.scheme])

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post a body and return the response, within the time limit.

        Raises:
            UrlNotAllowed: The URL or its address is not allowed.
            UrlUnreachable: The server cannot be reached.
        """
        target = checked(url)
        sent = request("POST", target, headers, silence_s=self._timeout_s, content=body)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        pool = httpcore2.AsyncConnectionPool(
            ssl_context=self._tls, max_connections=1, network_backend=self._backend
        )
        async with pool:
            with mapped():
                async with asyncio.timeout_at(deadline):
                    response = await pool.handle_async_request(sent)
            try:
                return await _answer(response, deadline)
            finally:
                await response.aclose()


async def _answer(response: httpcore2.Response, deadline: float) -> Answer:
    """Return a response with the beginning of its body; errors while reading it are ignored."""
    body = b""
    with suppress(
        TimeoutError, httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError
    ):
        async with asyncio.timeout_at(deadline):
            async for piece in response.aiter_stream():
                body += piece
                if len(body) >= ANSWER_BYTES:
                    break
    headers = {name.lower(): text_of(value) for name, value in response.headers}
    return Answer(response.status, headers.get(b"retry-after"), body[:ANSWER_BYTES])
