"""Request headers, read from the ASGI scope without decoding the others."""

from __future__ import annotations

import re

from starlette.types import Scope

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def header(scope: Scope, name: bytes) -> str:
    """Return the first header of a name in lower case; empty where there is none."""
    return find_header(scope, name) or ""


def find_header(scope: Scope, name: bytes) -> str | None:
    """Return the first header of a name in lower case; None where there is none.

    Starlette's `Headers` would decode and compare them all, for each that is asked for.
    """
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


def sane_request_id(value: str) -> str | None:
    """Return a caller's request id if it fits a header and a log line."""
    return value if _SANE_REQUEST_ID.fullmatch(value) else None


def sane_traceparent(value: str) -> str | None:
    """Return a caller's `traceparent` if it is a valid one."""
    return value if _TRACEPARENT.fullmatch(value) else None
