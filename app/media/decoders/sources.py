"""Where a decoder's input comes from: it asks for the ranges that it needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from app.storage import Bucket


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes to decode; `read(start, end)` returns those from `start` to before `end`."""

    size: int
    read: Callable[[int, int], Awaitable[bytes]]


def stored(bucket: Bucket, key: str, size: int) -> Source:
    """Return an object as a source; nothing of it is kept on a disk of ours."""
    return Source(size, partial(_read, bucket, key))


async def _read(bucket: Bucket, key: str, start: int, end: int) -> bytes:
    return b"".join([piece async for piece in await bucket.read(key, start, end)])
