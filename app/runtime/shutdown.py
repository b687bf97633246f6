"""The end of a replica: everything that waits learns of it at once."""

from __future__ import annotations

import asyncio


class Shutdown:
    """Set on the first signal; long polls answer, streams end, sockets close with 1012."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def is_begun(self) -> bool:
        """Whether this replica is going."""
        return self._event.is_set()

    def begin(self) -> None:
        """Tell everything that waits. To be called in the loop's thread; twice does no harm."""
        self._event.set()

    async def wait(self) -> None:
        """Return once the replica is going."""
        await self._event.wait()
