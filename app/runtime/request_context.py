"""Context variables of the current request: its id and its trace."""

from __future__ import annotations

from contextvars import ContextVar

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the current request, included in log lines and errors."""

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""The caller's `traceparent` (W3C Trace Context), stored with the jobs that the request creates."""
