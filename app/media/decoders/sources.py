"""Sources of decoders, which read only the ranges that they need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from app.runtime.object_reader import ObjectReader


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes to decode; `read(start, end)` returns those from `start` to before `end`."""

    size: int
    read: Callable[[int, int], Awaitable[bytes]]


def stored(bucket: ObjectReader, key: str, size: int) -> Source:
    """Return an object of the storage as a source; none of it is written to a local disk."""
    return Source(size, partial(_read, bucket, key))


async def _read(bucket: ObjectReader, key: str, start: int, end: int) -> bytes:
    return b"".join([piece async for piece in await bucket.read(key, start, end)])
