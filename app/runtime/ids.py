"""Identifiers: UUIDv7 (RFC 9562) as 32 lowercase hex characters; they sort by time of creation."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import uuid_utils

_ID = re.compile(r"[0-9a-f]{32}")


def new_id() -> str:
    """Return a new id, greater than every earlier one of this process."""
    return uuid_utils.uuid7().hex


def is_id(value: str) -> bool:
    """Whether `value` could be an id; what could not does not exist."""
    return _ID.fullmatch(value) is not None


def created_at(id_: str) -> datetime:
    """Return the moment, to the millisecond, that an id carries in its first 48 bits."""
    return datetime.fromtimestamp(int(id_[:12], 16) / 1000, UTC)
