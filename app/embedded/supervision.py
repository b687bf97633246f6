"""Starts a child again when it dies."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from app.embedded.errors import StackError
from app.embedded.process import Child

logger = logging.getLogger(__name__)

START_S = 60.0  # PostgreSQL may have much to recover
_POLL_S = 0.1
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0
_SETTLED_S = 30.0


async def keep_running(child: Child, is_ready: Callable[[], bool], *, tries: int | None) -> None:
    """Start `child` again whenever it ends; to be run in the main thread, until cancelled.

    Raises:
        StackError: It did not become ready in `tries` starts (None: no end) one after another.
    """
    name, delay, failures, started = child.command.name, _FIRST_DELAY_S, 0, time.monotonic()
    while True:
        await _end_of(child)
        if time.monotonic() - started > _SETTLED_S:
            delay = _FIRST_DELAY_S
        logger.warning(
            "%s ended (exit code %s); starting it again in %.1f s", name, child.exit_code, delay
        )
        await asyncio.sleep(delay)
        delay = min(2 * delay, _LONGEST_DELAY_S)
        child.start()
        started = time.monotonic()
        if await _becomes_ready(child, is_ready):
            logger.info("%s is back", name)
            failures = 0
            continue
        child.kill()
        failures += 1
        if failures == tries:
            raise StackError(f"{name} does not come back, see {child.command.log}")


async def _end_of(child: Child) -> None:
    while child.exit_code is None:  # noqa: ASYNC110  # a process sets no event
        await asyncio.sleep(_POLL_S)


async def _becomes_ready(child: Child, is_ready: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + START_S
    while child.exit_code is None and time.monotonic() < deadline:
        if await asyncio.to_thread(is_ready):
            return True
        await asyncio.sleep(0.02)
    return False
