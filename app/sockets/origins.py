"""Comparison of the Origin of a browser's page with origins and with the Host of a request."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """The origin of a page; the port is that of the scheme if the text has none."""

    scheme: str
    host: str
    port: int


def parse_origin(text: str) -> Origin | None:
    """Return the origin that an Origin header names; None if it is not one of HTTP or HTTPS."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.username is not None:
        return None
    if parts.path or parts.query or parts.fragment:
        return None
    return Origin(parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme])


def is_allowed(origin: str, *, host: str, allowed: Collection[str]) -> bool:
    """Return True if pages of an origin may connect.

    Args:
        origin: The Origin header.
        host: The Host header. A page of the same host and port may connect; the scheme is that of
            the Origin, since a proxy may end TLS.
        allowed: Other origins; `*` allows all.
    """
    if "*" in allowed or origin in allowed:
        return True
    parsed = parse_origin(origin)
    if parsed is None:
        return False
    same = parse_origin(f"{parsed.scheme}://{host}")
    return parsed == same or parsed in map(parse_origin, allowed)
