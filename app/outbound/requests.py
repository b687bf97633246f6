"""URL checks, requests and error mapping of outbound HTTP."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import httpcore2
import httpx2

from app.outbound.addresses import check_host
from app.outbound.connection import CONNECT_S
from app.outbound.errors import UrlNotAllowed, UrlUnreachable

logger = logging.getLogger(__name__)

MAX_URL_CHARS = 8192
USER_AGENT = "processing-context"


@cache
def public_certificates() -> ssl.SSLContext:
    """Return a TLS context with the default certificate authorities; cached, as loading is slow."""
    return httpx2.create_ssl_context(trust_env=False)


def checked(url: str) -> httpx2.URL:
    """Return a parsed URL with its host in canonical form.

    Raises:
        UrlNotAllowed: The URL is malformed or not allowed.
    """
    if len(url) > MAX_URL_CHARS:
        raise UrlNotAllowed(f"The URL has more than {MAX_URL_CHARS} characters.")
    try:
        parsed = httpx2.URL(url)
        host = parsed.raw_host.decode("ascii").removesuffix(".").lower()
        if parsed.scheme not in ("http", "https"):
            raise UrlNotAllowed("The URL must begin with http:// or https://.")
        if parsed.userinfo:
            raise UrlNotAllowed("The URL must not contain a user name or a password.")
        if parsed.port is not None and not 0 < parsed.port < 65536:
            raise UrlNotAllowed(f"The URL has the invalid port {parsed.port}.")
        check_host(host)
        return parsed.copy_with(host=host, fragment=None)
    except (httpx2.InvalidURL, ValueError):
        raise UrlNotAllowed("The URL is malformed.") from None


def request(
    method: str,
    url: httpx2.URL,
    headers: Mapping[str, str],
    *,
    silence_s: float,
    content: bytes | None = None,
) -> httpcore2.Request:
    """Return a request without credentials and cookies, which closes its connection.

    Args:
        method: The HTTP method.
        url: The checked URL.
        headers: Headers to send besides the standard ones.
        silence_s: The read timeout in seconds.
        content: The body.
    """
    sent: dict[bytes | str, bytes | str] = {
        "Host": url.netloc.decode("ascii"),
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    sent.update(headers)
    if content is not None:
        sent["Content-Length"] = str(len(content))
    return httpcore2.Request(
        method,
        httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=sent,
        content=content,
        extensions={"timeout": {"connect": CONNECT_S, "read": silence_s, "write": CONNECT_S}},
    )


def text_of(value: bytes) -> str:
    """Return a header value as text: UTF-8, else Latin-1, as servers send both."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


@contextmanager
def mapped() -> Iterator[None]:
    """Convert network errors to `UrlUnreachable`, without details of the network."""
    try:
        yield
    except (httpcore2.TimeoutException, TimeoutError):
        raise UrlUnreachable("The server did not respond in time.") from None
    except httpcore2.ConnectError as exc:
        logger.info("cannot connect to the server of a user's URL: %s", exc)
        raise UrlUnreachable("The service cannot connect to the server of the URL.") from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as exc:
        logger.info("the connection to the server of a user's URL failed: %s", exc)
        raise UrlUnreachable("The server sent a malformed or truncated response.") from None
