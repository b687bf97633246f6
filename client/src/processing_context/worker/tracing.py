"""Trace context of a job (W3C Trace Context) in the worker."""

from __future__ import annotations

import re
import secrets

_TRACEPARENT = re.compile(r"([0-9a-f]{2}-[0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})")


def span_of(traceparent: str | None) -> str | None:
    """Return the `traceparent` of a new span in the same trace; None without a trace."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return f"{match[1]}-{secrets.token_hex(8)}-{match[2]}" if match else None
