"""Optimistic concurrency: ETags over editable fields, compared with If-Match (RFC 9110)."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import orjson
from fastapi import Header

from app.http.problems import PreconditionFailed

IfMatch = Annotated[str | None, Header(alias="If-Match")]


def etag_of(*editable: Any) -> str:
    """Return a strong ETag over the editable values of an object."""
    digest = hashlib.sha256(orjson.dumps(editable, option=orjson.OPT_SORT_KEYS))
    return f'"{digest.hexdigest()[:32]}"'


def check_if_match(if_match: str | None, current: str) -> None:
    """Compare the If-Match header with the current ETag; a missing header or `*` always matches.

    Raises:
        PreconditionFailed: The header does not contain the current ETag.
    """
    if if_match is None or if_match.strip() == "*":
        return
    if current not in (tag.strip() for tag in if_match.split(",")):
        raise PreconditionFailed
