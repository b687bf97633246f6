"""Interface for reading objects, for modules that do not import the storage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


class ObjectReader(Protocol):
    """Reads byte ranges of objects."""

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Return the bytes of an object from `start` up to, not including, `end`."""
        ...
