"""Shutdown signal of a replica, which ends long polls, streams and WebSockets."""

from __future__ import annotations

import asyncio


class Shutdown:
    """Event that is set when the replica starts to shut down.

    Then long polls return, event streams end, and WebSockets close with code 1012.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def has_begun(self) -> bool:
        """True while the replica is shutting down."""
        return self._event.is_set()

    def begin(self) -> None:
        """Start the shutdown; repeated calls have no effect. Call it in the event loop's thread."""
        self._event.set()

    async def wait(self) -> None:
        """Wait until the replica is shutting down."""
        await self._event.wait()
