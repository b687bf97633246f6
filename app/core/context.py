"""What travels with a request: its id and its trace."""

from __future__ import annotations

import re
from contextvars import ContextVar

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request being served, in logs and errors."""

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""The caller's trace (W3C Trace Context), handed on to the jobs it creates."""

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def sane_request_id(value: str | None) -> str | None:
    """Return a caller's request id if it fits a header and a log line."""
    return value if value and _SANE_REQUEST_ID.fullmatch(value) else None


def sane_traceparent(value: str | None) -> str | None:
    """Return a caller's `traceparent` if it is a valid one."""
    return value if value and _TRACEPARENT.fullmatch(value) else None
