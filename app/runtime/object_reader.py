"""Interface for reading objects, for modules that do not import the storage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """Size of an object, and its ETag without quotes if storage returned one."""

    size: int
    etag: str | None


@dataclass(frozen=True, slots=True)
class OpenedObject:
    """Size and ETag of an object, and an iterator over the requested bytes."""

    head: ObjectHead
    pieces: AsyncIterator[bytes]


class ObjectReader(Protocol):
    """Reads objects and byte ranges of objects."""

    async def head(self, key: str) -> ObjectHead:
        """Return the size and the ETag of an object."""
        ...

    async def open(self, key: str) -> OpenedObject:
        """Begin to read an object."""
        ...

    async def open_range(self, key: str, start: int, end: int) -> OpenedObject:
        """Begin to read the bytes of an object from `start` up to, not including, `end`."""
        ...

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Return the bytes of an object from `start` up to, not including, `end`."""
        ...
