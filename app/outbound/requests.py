"""What all exchanges with foreign servers share: the URLs, the requests, what goes wrong."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import httpcore
import httpx

from app.outbound.addresses import check_host
from app.outbound.connection import CONNECT_S
from app.outbound.errors import UrlNotAllowed, UrlUnreachable

logger = logging.getLogger(__name__)

MAX_URL_CHARS = 8192
USER_AGENT = "processing-context"


@cache
def public_certificates() -> ssl.SSLContext:
    """Return what trusts the public web's certificates; to read them is half of a start's CPU."""
    return httpx.create_ssl_context(trust_env=False)


def checked(url: str) -> httpx.URL:
    """Return a URL that we may try to fetch, its host in one form only."""
    if len(url) > MAX_URL_CHARS:
        raise UrlNotAllowed(f"The URL has more than {MAX_URL_CHARS} characters.")
    try:
        parsed = httpx.URL(url)
        host = parsed.raw_host.decode("ascii").removesuffix(".").lower()
        if parsed.scheme not in ("http", "https"):
            raise UrlNotAllowed("The service fetches http and https URLs only.")
        if parsed.userinfo:
            raise UrlNotAllowed("The URL must not hold a user name or a password.")
        if parsed.port is not None and not 0 < parsed.port < 65536:
            raise UrlNotAllowed("The URL's port is none.")
        check_host(host)
        return parsed.copy_with(host=host, fragment=None)
    except (httpx.InvalidURL, ValueError):
        raise UrlNotAllowed("This is no URL.") from None


def request(
    method: str,
    url: httpx.URL,
    headers: Mapping[str, str],
    *,
    silence_s: float,
    content: bytes | None = None,
) -> httpcore.Request:
    """Return a request without anything of ours but our name: no credentials, no cookies."""
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
    return httpcore.Request(
        method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
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
    except (httpcore.TimeoutException, TimeoutError):
        raise UrlUnreachable("The server did not answer in time.") from None
    except httpcore.ConnectError as exc:
        logger.info("a fetch could not connect: %s", exc)
        raise UrlUnreachable("The server cannot be connected to.") from None
    except (httpcore.NetworkError, httpcore.ProtocolError) as exc:
        logger.info("a fetch broke off: %s", exc)
        raise UrlUnreachable("The server's answer is broken, or broke off.") from None
