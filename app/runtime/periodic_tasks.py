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
    """A coroutine function to run again and again.

    `interval_s` is the pause between the end of a run and the start of the next one; `first_s` is
    the pause before the first run.
    """

    run: Callable[[], Awaitable[object]]
    interval_s: float
    first_s: float = 0


class PeriodicTasks:
    """Runs periodic tasks until it is stopped; a failed run is logged, and the next one comes."""

    def __init__(self) -> None:
        self._running: list[asyncio.Task[None]] = []

    def start(self, task: PeriodicTask) -> None:
        """Run a task from now on."""
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
                logger.warning("%s: the database is away: %s", name, exc)
            else:
                logger.exception("%s failed and will be tried again", name)
        await asyncio.sleep(task.interval_s)
