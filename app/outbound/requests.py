"""URL checks, requests and error mapping for all outbound HTTP."""

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
    """Return a TLS context that trusts the system's certificate authorities; loading it is slow."""
    return httpx2.create_ssl_context(trust_env=False)


def checked(url: str) -> httpx2.URL:
    """Return a URL that may be requested, with its host in one canonical form."""
    if len(url) > MAX_URL_CHARS:
        raise UrlNotAllowed(f"The URL has more than {MAX_URL_CHARS} characters.")
    try:
        parsed = httpx2.URL(url)
        host = parsed.raw_host.decode("ascii").removesuffix(".").lower()
        if parsed.scheme not in ("http", "https"):
            raise UrlNotAllowed("The service fetches http and https URLs only.")
        if parsed.userinfo:
            raise UrlNotAllowed("The URL must not hold a user name or a password.")
        if parsed.port is not None and not 0 < parsed.port < 65536:
            raise UrlNotAllowed("The URL's port is none.")
        check_host(host)
        return parsed.copy_with(host=host, fragment=None)
    except (httpx2.InvalidURL, ValueError):
        raise UrlNotAllowed("This is no URL.") from None


def request(
    method: str,
    url: httpx2.URL,
    headers: Mapping[str, str],
    *,
    silence_s: float,
    content: bytes | None = None,
) -> httpcore2.Request:
    """Return a request that carries no credentials and no cookies, and closes its connection."""
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
    """Return a header's value: servers send UTF-8 where they should not, and Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


@contextmanager
def mapped() -> Iterator[None]:
    """Turn what goes wrong on the other side into one error that says no more than it should."""
    try:
        yield
    except (httpcore2.TimeoutException, TimeoutError):
        raise UrlUnreachable("The server did not answer in time.") from None
    except httpcore2.ConnectError as exc:
        logger.info("a fetch could not connect: %s", exc)
        raise UrlUnreachable("The server cannot be connected to.") from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as exc:
        logger.info("a fetch broke off: %s", exc)
        raise UrlUnreachable("The server's answer is broken, or broke off.") from None
