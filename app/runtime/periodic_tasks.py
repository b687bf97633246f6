"""Periodic background tasks of a replica."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.database.errors import is_database_away

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """Coroutine function that is run periodically.

    `interval_s` is the pause between the end of a run and the start of the next one, `first_s` the
    pause before the first run.
    """

    run: Callable[[], Awaitable[object]]
    interval_s: float
    first_s: float = 0


class PeriodicTasks:
    """Runner of periodic tasks; a failed run is logged and does not end its task."""

    def __init__(self) -> None:
        self._running: list[asyncio.Task[None]] = []

    def start(self, task: PeriodicTask) -> None:
        """Start a task."""
        name = getattr(task.run, "__qualname__", repr(task.run))
        self._running.append(asyncio.create_task(_repeat(task, name), name=name))

    async def stop(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()


async def _repeat(task: PeriodicTask, name: str) -> None:
    await asyncio.sleep(task.first_s)
    while True:
        try:
            await task.run()
        except Exception as exc:
            if is_database_away(exc):
                logger.warning("%s: the database cannot be reached: %s", name, exc)
            else:
                logger.exception("%s failed; the next run is in %g s", name, task.interval_s)
        await asyncio.sleep(task.interval_s)
