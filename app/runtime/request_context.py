"""Context variables of the request being served: its id and its trace."""

from __future__ import annotations

from contextvars import ContextVar

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request being served, in logs and errors."""

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""The caller's trace (W3C Trace Context), handed on to the jobs it creates."""
