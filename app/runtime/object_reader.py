"""Interface for reading objects of the storage, for modules that do not know the storage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


class ObjectReader(Protocol):
    """Reads objects."""

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Return the bytes of an object from `start` up to, not including, `end`."""
        ...
