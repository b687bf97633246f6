"""The event loop in tests."""

from __future__ import annotations

import asyncio


async def turns(count: int = 5) -> None:
    """Let everything run that can."""
    for _ in range(count):
        await asyncio.sleep(0)
