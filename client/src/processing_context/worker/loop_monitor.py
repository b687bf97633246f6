"""Tells of nodes that hold up the worker's loop, and with it all other jobs."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback

from processing_context.worker.metrics import Timed

logger = logging.getLogger(__name__)

_LOOK_S = 1.0
_LONG_S = 2.0
_FRAMES = 8


class Stalls:
    """A thread that looks whether the loop still turns.

    An `async def process` that blocks is a mistake that cannot be undone from outside: so its place
    in the code is named, while it is there.
    """

    def __init__(self, tally: Timed) -> None:
        """Count in `tally`."""
        self._tally = tally
        self._closed = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._run, name="stalls", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look no more; the thread ends soon."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(_LOOK_S):
            asked_at = time.monotonic()
            turned = threading.Event()
            try:
                self._loop.call_soon_threadsafe(turned.set)
            except RuntimeError:  # the loop is closed
                return
            if not turned.wait(_LONG_S):
                self._tell(asked_at, turned)

    def _tell(self, since: float, turned: threading.Event) -> None:
        frame = sys._current_frames().get(self._loop_thread)
        if frame is None or turned.is_set() or self._closed.is_set():
            return
        where = "".join(traceback.format_stack(frame)[-_FRAMES:])
        logger.warning(
            "the loop has not turned for %.0f s: other jobs wait. A `process` that blocks must be "
            "a plain `def`, or cpu_bound. It is here:\n%s",
            time.monotonic() - since,
            where,
        )
        while not turned.wait(_LOOK_S) and not self._closed.is_set():
            continue
        self._tally.count += 1
        self._tally.seconds += time.monotonic() - since
        logger.warning("the loop turns again, after %.1f s", time.monotonic() - since)
