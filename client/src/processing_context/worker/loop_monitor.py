"""Detection of nodes that block the worker's event loop, and with it all other jobs."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback

from processing_context.worker.metrics import Timed

logger = logging.getLogger(__name__)

_CHECK_EVERY_S = 1.0
_STALL_S = 2.0
_FRAMES = 8


class LoopMonitor:
    """Thread that checks whether the event loop responds.

    An `async def process` that blocks cannot be interrupted from outside, so its stack is logged
    while it blocks.

    Args:
        stalls: Counts the stalls and their seconds.
    """

    def __init__(self, stalls: Timed) -> None:
        self._stalls = stalls
        self._closed = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._run, name="loop-monitor", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread, without waiting for it."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(_CHECK_EVERY_S):
            asked_at = time.monotonic()
            responded = threading.Event()
            try:
                self._loop.call_soon_threadsafe(responded.set)
            except RuntimeError:  # the loop is closed
                return
            if not responded.wait(_STALL_S):
                self._report(asked_at, responded)

    def _report(self, since: float, responded: threading.Event) -> None:
        frame = sys._current_frames().get(self._loop_thread)
        if frame is None or responded.is_set() or self._closed.is_set():
            return
        where = "".join(traceback.format_stack(frame)[-_FRAMES:])
        logger.warning(
            "the event loop has been blocked for %.0f s, and all jobs with it. A `process` that "
            "blocks must be a plain `def`, or cpu_bound. The stack:\n%s",
            time.monotonic() - since,
            where,
        )
        while not responded.wait(_CHECK_EVERY_S) and not self._closed.is_set():
            continue
        self._stalls.count += 1
        self._stalls.seconds += time.monotonic() - since
        logger.warning("the event loop runs again after %.1f s", time.monotonic() - since)
