"""Periodic background tasks of a replica."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.database.errors import is_database_away

logger = logging.getLogger(__name__)

FIRST_BACK_OFF_S = 0.5
MAX_BACK_OFF_S = 30.0
SETTLED_S = 60.0
"""Time without an outage after which the back-off starts anew."""

SHARE = 0.05
"""Share of the time that the runs of a task with `longest_pause_s` take."""


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """Coroutine function that is run periodically.

    `interval_s` is the pause between the end of a run and the start of the next one, `first_s` the
    pause before the first run. With `longest_pause_s`, the pause after a long run is longer, up to
    that: runs that read index entries which PostgreSQL cannot remove yet take a small share of
    the time.
    """

    run: Callable[[], Awaitable[object]]
    interval_s: float
    first_s: float = 0
    longest_pause_s: float = 0

    def pause_s(self, run_s: float) -> float:
        """Return the pause after a run that took `run_s` seconds."""
        return max(self.interval_s, min(run_s / SHARE, self.longest_pause_s))


class PeriodicTasks:
    """Runner of periodic tasks; a failed run is logged and does not end its task.

    While the database is away, no task runs: one check for all of them waits for its return.

    Args:
        check_database: Raises if the database cannot be used.
    """

    def __init__(self, check_database: Callable[[], Awaitable[None]]) -> None:
        self._check_database = check_database
        self._running: list[asyncio.Task[None]] = []
        self._outage: asyncio.Task[None] | None = None
        self._outage_checks = 0
        self._outage_end = -SETTLED_S

    def start(self, task: PeriodicTask) -> None:
        """Start a task."""
        name = getattr(task.run, "__qualname__", repr(task.run))
        self._running.append(asyncio.create_task(self._repeat(task, name), name=name))

    async def stop(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        running = [*self._running, *([self._outage] if self._outage else [])]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._running.clear()

    async def _repeat(self, task: PeriodicTask, name: str) -> None:
        failures = 0
        await asyncio.sleep(task.first_s)
        while True:
            began, pause_s = time.monotonic(), task.interval_s
            try:
                await task.run()
            except Exception as exc:
                if is_database_away(exc):
                    await self._until_database_returns(exc)
                else:
                    failures += 1
                    _log_failure(name, exc, failures)
            else:
                if failures:
                    logger.info("%s works again after %d failures", name, failures)
                failures = 0
                pause_s = task.pause_s(time.monotonic() - began)
            await asyncio.sleep(max(pause_s, _back_off_s(failures)))

    async def _until_database_returns(self, exc: Exception) -> None:
        """Wait for the end of an outage, which the first caller logs."""
        if self._outage is None or self._outage.done():
            logger.warning(
                "the database cannot be used, background tasks wait for it: %s", _first_line(exc)
            )
            self._outage = asyncio.create_task(self._watch_database(), name="database-outage")
        await asyncio.shield(self._outage)

    async def _watch_database(self) -> None:
        since = time.monotonic()
        if since - self._outage_end > SETTLED_S:
            self._outage_checks = 0
        while True:
            self._outage_checks += 1
            await asyncio.sleep(_back_off_s(self._outage_checks))
            try:
                await self._check_database()
            except Exception as exc:
                logger.debug("the database still cannot be used: %s", _first_line(exc))
                continue
            self._outage_end = time.monotonic()
            took_s = self._outage_end - since
            logger.warning("the database can be used again after %.1f s", took_s)
            return


def _log_failure(name: str, exc: Exception, failures: int) -> None:
    """Log a failure: the first one with its traceback, repeated ones in one line."""
    wait_s = _back_off_s(failures)
    if failures == 1:
        logger.error("%s failed; it is repeated with back-off", name, exc_info=exc)
    else:
        text = f"{type(exc).__name__}: {_first_line(exc)}"
        logger.error("%s failed %d times, next in %.0f s: %s", name, failures, wait_s, text)


def _back_off_s(failures: int) -> float:
    return min(FIRST_BACK_OFF_S * 2.0 ** min(failures - 1, 10), MAX_BACK_OFF_S) if failures else 0.0


def _first_line(exc: Exception) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0][:300]
