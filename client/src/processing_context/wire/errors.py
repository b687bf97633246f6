"""Problem details (RFC 9457) of the service."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from processing_context.wire.base import Reply


class Problem(Reply):
    """An error. `code` is stable and for programs, `detail` is for people.

    `errors` has the first 100 errors of an invalid request, `error_count` is their number.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    code: str
    request_id: str | None = None
    errors: list[dict[str, Any]] | None = Field(default=None)
    error_count: int | None = None
