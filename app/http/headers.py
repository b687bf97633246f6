"""Request headers, read one by one from the ASGI scope."""

from __future__ import annotations

import re

from starlette.types import Scope

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def header(scope: Scope, name: bytes) -> str:
    """Return the first header of a name (in lower case), or an empty string."""
    return find_header(scope, name) or ""


def find_header(scope: Scope, name: bytes) -> str | None:
    """Return the first header of a name (in lower case), or None.

    Starlette's `Headers` decodes all headers for each look-up.
    """
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


def sane_request_id(value: str) -> str | None:
    """Return a caller's request id if it is safe in a header and a log line, else None."""
    return value if _SANE_REQUEST_ID.fullmatch(value) else None


def sane_traceparent(value: str) -> str | None:
    """Return a caller's `traceparent` if it is valid, else None."""
    return value if _TRACEPARENT.fullmatch(value) else None
