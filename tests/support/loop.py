"""Helper that runs the event loop."""

from __future__ import annotations

import asyncio


async def turns(count: int = 5) -> None:
    """Let all ready callbacks and tasks run."""
    for _ in range(count):
        await asyncio.sleep(0)
