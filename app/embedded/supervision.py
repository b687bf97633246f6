"""Restart of child processes that exit, with back-off."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from app.embedded.process import Child
from app.runtime.errors import CommandError

logger = logging.getLogger(__name__)

START_S = 60.0
"""Time for a server to start, since PostgreSQL may have to recover."""
_POLL_S = 0.1
_MIN_BACK_OFF_S = 0.1
_MAX_BACK_OFF_S = 5.0
_SETTLED_S = 30.0


async def keep_running(child: Child, is_ready: Callable[[], bool], *, tries: int | None) -> None:
    """Restart a child process whenever it exits; to be run in the main thread.

    Args:
        child: The process.
        is_ready: Returns True once it has started.
        tries: The maximum number of consecutive failed starts; None for no limit.

    Raises:
        CommandError: The maximum is reached.
    """
    name, back_off, failures, started = child.command.name, _MIN_BACK_OFF_S, 0, time.monotonic()
    while True:
        await _wait_for_end(child)
        if time.monotonic() - started > _SETTLED_S:
            back_off = _MIN_BACK_OFF_S
        logger.warning(
            "%s exited (code %s); restarting it in %.1f s", name, child.exit_code, back_off
        )
        await asyncio.sleep(back_off)
        back_off = min(2 * back_off, _MAX_BACK_OFF_S)
        child.start()
        started = time.monotonic()
        if await _becomes_ready(child, is_ready):
            logger.info("%s was restarted", name)
            failures = 0
            continue
        child.kill()
        failures += 1
        if failures == tries:
            raise CommandError(f"{name} cannot be restarted, see {child.command.log}")


async def _wait_for_end(child: Child) -> None:
    while child.exit_code is None:  # noqa: ASYNC110  # a process sets no event
        await asyncio.sleep(_POLL_S)


async def _becomes_ready(child: Child, is_ready: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + START_S
    while child.exit_code is None and time.monotonic() < deadline:
        if await asyncio.to_thread(is_ready):
            return True
        await asyncio.sleep(0.02)
    return False
