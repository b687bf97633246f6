"""Object ids: UUIDv7 (RFC 9562) as 32 lowercase hex digits, ordered by time of creation."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import uuid_utils

_ID = re.compile(r"[0-9a-f]{32}")


def new_id() -> str:
    """Return a new id; it is greater than all earlier ones of this process."""
    return uuid_utils.uuid7().hex


def is_id(value: str) -> bool:
    """Return True if a text has the form of an id; no object has another one."""
    return _ID.fullmatch(value) is not None


def created_at(id_: str) -> datetime:
    """Return the time of creation of an id, to the millisecond (its first 48 bits)."""
    return datetime.fromtimestamp(int(id_[:12], 16) / 1000, UTC)
