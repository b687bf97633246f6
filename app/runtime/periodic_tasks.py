"""What a replica does beside answering: small pieces of work, again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from app.http.problems import is_database_away

logger = logging.getLogger(__name__)


class Background:
    """Repeats pieces of work until it is stopped; one that fails is logged and tried again."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def every(
        self, seconds: float, work: Callable[[], Awaitable[object]], *, first_s: float = 0
    ) -> None:
        """Run `work` in `first_s` seconds and then again `seconds` after each end."""
        name = getattr(work, "__qualname__", repr(work))
        repeating = self._repeat(seconds, work, name, first_s)
        self._tasks.append(asyncio.create_task(repeating, name=name))

    async def stop(self) -> None:
        """Cancel all of it and wait for the ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _repeat(
        self, seconds: float, work: Callable[[], Awaitable[object]], name: str, first_s: float
    ) -> None:
        await asyncio.sleep(first_s)
        while True:
            try:
                await work()
            except Exception as exc:
                if is_database_away(exc):
                    logger.warning("%s: the database is away: %s", name, exc)
                else:
                    logger.exception("%s failed and will be tried again", name)
            await asyncio.sleep(seconds)
