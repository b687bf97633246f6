"""Watcher that measures for how long the event loop of a service is held at a time.

The service of a test runs in a thread. Times are CPU times of that thread, so that other processes
on a loaded machine do not count; neither does work in other threads, which leaves the loop free.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType

from tests.support.services import Service

MOST_S = 0.05
"""Longest time for which a request may hold the loop."""
MOST_LARGE_JSON_S = 0.4
"""The same for a request with JSON of several MiB."""

_TURN_S = 0.002
_SAMPLE_S = 0.005


_IDLE = ("asyncio.", "selectors")
"""Modules of the innermost function of a loop that waits."""


class LoopWatcher:
    """Measures the CPU time between two turns of a loop.

    Attributes:
        held_s: The longest time for which the loop was held.
        stack: The stack of the loop's thread while it was held, for messages.
    """

    def __init__(self) -> None:
        self.held_s = 0.0
        self.stack = ""
        self._thread_id = 0
        self._last = 0.0
        self._stop = threading.Event()

    async def run(self) -> None:
        """Measure, in the loop to watch, until cancelled."""
        self._thread_id = threading.get_ident()
        self._last = time.thread_time()
        sampler = threading.Thread(target=self._sample, daemon=True)
        sampler.start()
        try:
            while True:
                await asyncio.sleep(_TURN_S)
                now = time.thread_time()
                self.held_s = max(self.held_s, now - self._last)
                self._last = now
        finally:
            self._stop.set()

    def _sample(self) -> None:
        """Keep the stack of the thread of the loop for its longest turn."""
        clock = time.pthread_getcpuclockid(self._thread_id)
        longest = MOST_S / 2
        while not self._stop.wait(_SAMPLE_S):
            held = time.clock_gettime(clock) - self._last
            frame = sys._current_frames().get(self._thread_id)
            # The loop may be idle again before the measurement has noticed it.
            if held > longest and frame is not None and not _is_idle(frame):
                longest = held
                self.stack = "".join(traceback.format_stack(frame))


def _is_idle(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith(_IDLE)


@asynccontextmanager
async def watched_loop(service: Service, *, most_s: float = MOST_S) -> AsyncIterator[LoopWatcher]:
    """Fail if the loop of a service is held for longer than `most_s` at a time in the block.

    Objects that exist already are excluded from garbage collections, whose duration would depend on
    the tests before. Requests that import modules or fill caches should be sent once before.
    """
    watcher = LoopWatcher()
    gc.collect()
    gc.freeze()
    watching = asyncio.run_coroutine_threadsafe(watcher.run(), service.loop)
    try:
        yield watcher
        # A request that was answered may still hold the loop, or have callbacks in it.
        await service.run(asyncio.sleep(2 * _TURN_S))
    finally:
        watching.cancel()
        gc.unfreeze()
    assert watcher.held_s <= most_s, (
        f"the event loop was held for {watcher.held_s * 1000:.0f} ms of CPU time, more than "
        f"{most_s * 1000:.0f} ms:\n{watcher.stack}"
    )
