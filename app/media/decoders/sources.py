"""Sources of decoder tasks, of which processes read only the ranges that they need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from app.runtime.object_reader import ObjectReader


@dataclass(frozen=True, slots=True)
class Source:
    """File to decode; `read(start, end)` returns bytes from `start` up to, not including, `end`."""

    size: int
    read: Callable[[int, int], Awaitable[bytes]]


def stored(bucket: ObjectReader, key: str, size: int) -> Source:
    """Return an object in storage as a source; it is not copied to a local disk."""
    return Source(size, partial(_read, bucket, key))


async def _read(bucket: ObjectReader, key: str, start: int, end: int) -> bytes:
    return b"".join([piece async for piece in await bucket.read(key, start, end)])
