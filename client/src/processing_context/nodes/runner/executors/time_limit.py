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
"""How long a node may take to stop, once told."""


async def within(limit_s: float, work: Coroutine[Any, Any, T], label: str) -> T:
    """Return what the work gives.

    Raises:
        NodeTimeoutError: It was not done within the limit. It has been told to stop; where it does
            not, it is left behind.
    """
    task = asyncio.create_task(work, name=label)
    try:
        await asyncio.wait({task}, timeout=limit_s)
        if task.done():
            return task.result()
    except asyncio.CancelledError:
        await _stopped(task, label)
        raise
    await _stopped(task, label)
    raise NodeTimeoutError(limit_s)


async def _stopped(task: asyncio.Task[Any], label: str) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=STOP_S)
    if not task.done():
        logger.error("%s does not stop; it is left behind", label)
    elif not task.cancelled() and (error := task.exception()) is not None:
        logger.info("%s, told to stop, raised %r", label, error)
