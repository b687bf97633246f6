"""Concurrent transfers with a limit."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

AT_ONCE = max(2, min(4, os.cpu_count() or 2))
"""Concurrent downloads: one connection does not fill a long line, and more threads than cores
cost more than they bring.
"""

PARTS_AT_ONCE = 4
"""Concurrent parts of an upload: storage processes a part after its last byte, while others are
sent.
"""


async def in_parallel(
    jobs: AsyncIterable[T], work: Callable[[T], Coroutine[Any, Any, None]], *, at_once: int
) -> None:
    """Run `work` for every job, `at_once` at a time; the first failure cancels the others."""
    running: set[asyncio.Task[None]] = set()
    try:
        async for job in jobs:
            running.add(asyncio.create_task(work(job)))
            if len(running) >= at_once:
                running = await _wait_for_one(running)
        while running:
            running = await _wait_for_one(running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _wait_for_one(running: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    done, left = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    failed = next((task for task in done if task.exception() is not None), None)
    if failed is not None:
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        failed.result()
    return left
