"""SQL of ids, which begin with the milliseconds of their creation (UUIDv7)."""

from __future__ import annotations


def first_id_at(time: str) -> str:
    """Return an SQL expression for the beginning of the ids of a time, below all of them."""
    return f"lpad(to_hex((extract(epoch from {time}) * 1000)::bigint), 12, '0')"
