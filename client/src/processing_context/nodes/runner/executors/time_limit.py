"""Time limit of a node."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from processing_context.nodes.errors import NodeTimeoutError

logger = logging.getLogger(__name__)

T = TypeVar("T")

STOP_S = 5.0
"""Seconds that a node may take to stop after it was cancelled."""


async def within(
    limit_s: float, work: Coroutine[Any, Any, T], label: str, *, stop_s: float = STOP_S
) -> T:
    """Return the result of a run of a node, which is cancelled at the limit.

    Args:
        limit_s: Time limit.
        work: The run.
        label: Name of the node for the log.
        stop_s: How long it may take to stop; then it is abandoned.

    Raises:
        NodeTimeoutError: The node exceeded the limit.
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
        logger.error("%s does not stop and is abandoned", label)
    elif not task.cancelled() and (error := task.exception()) is not None:
        logger.info("%s raised %r when it was cancelled", label, error)
