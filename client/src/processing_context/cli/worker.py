"""Command `processing-context worker`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from processing_context.errors import ContextError
from processing_context.nodes.registry import NodeRegistry
from processing_context.worker.forks import end_forks
from processing_context.worker.worker import Worker, WorkerOptions

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def serve(options: WorkerOptions, registry: NodeRegistry) -> int:
    """Run a worker until it is signalled; return the exit status."""

    async def work() -> int:
        worker = Worker(options, registry)
        end_forks(asyncio.get_running_loop())
        _on_signals(asyncio.get_running_loop(), worker.drain)
        try:
            await worker.run()
        except ContextError as error:
            logger.error("the service refuses this worker: %s", error)
            return 1
        return 0

    loop = _new_loop()
    asyncio.set_event_loop(loop)
    status = loop.run_until_complete(work())
    logging.shutdown()
    sys.stdout.flush()
    # Not sys.exit: threads that nodes left running would block the end of the process.
    os._exit(status)


def _new_loop() -> asyncio.AbstractEventLoop:
    """Return a uvloop event loop if it is installed; it halves the cost of a small job."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _on_signals(loop: asyncio.AbstractEventLoop, drain: Callable[[], None]) -> None:
    """Drain on the first signal, release the jobs on the second, and exit on the third.

    The third works even if a node blocks the loop.
    """
    count = 0

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > 2:
            os._exit(128 + number)
        loop.call_soon_threadsafe(drain)

    for number in _SIGNALS:
        signal.signal(number, handle)
