"""The time that a node may take."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from processing_context.nodes.errors import NodeTimeoutError

logger = logging.getLogger(__name__)

T = TypeVar("T")

STOP_S = 5.0
"""How long a node may take to stop after it was cancelled."""


async def within(
    limit_s: float, work: Coroutine[Any, Any, T], label: str, *, stop_s: float = STOP_S
) -> T:
    """Return the result of the work, which is cancelled at the limit.

    Args:
        limit_s: How long it may take.
        work: The run of a node.
        label: Names the node in the log.
        stop_s: How long it may take to stop; after that it is left behind.

    Raises:
        NodeTimeoutError: It was not done within the limit.
    """
    task = asyncio.create_task(work, name=label)
    try:
        await asyncio.wait({task}, timeout=limit_s)
        if task.done():
            return task.result()
    except asyncio.CancelledError:
        await _stop(task, label, stop_s)
        raise
    await _stop(task, label, stop_s)
    raise NodeTimeoutError(limit_s)


async def _stop(task: asyncio.Task[Any], label: str, stop_s: float) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=stop_s)
    if not task.done():
        logger.error("%s does not stop; it is left behind", label)
    elif not task.cancelled() and (error := task.exception()) is not None:
        logger.info("%s, told to stop, raised %r", label, error)
