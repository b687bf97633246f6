"""Optimistic concurrency: an ETag over what a user can edit, held against If-Match (RFC 9110)."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import orjson
from fastapi import Header

from app.http.problems import PreconditionFailed

IfMatch = Annotated[str | None, Header(alias="If-Match")]


def etag_of(*editable: Any) -> str:
    """Return a strong ETag over the values that a user can edit."""
    digest = hashlib.sha256(orjson.dumps(editable, option=orjson.OPT_SORT_KEYS))
    return f'"{digest.hexdigest()[:32]}"'


def check_if_match(if_match: str | None, current: str) -> None:
    """Compare strongly, as If-Match demands.

    Raises:
        PreconditionFailed: None of the header's ETags is the current one.
    """
    if if_match is None or if_match.strip() == "*":
        return
    if current not in (tag.strip() for tag in if_match.split(",")):
        raise PreconditionFailed
