"""Small files, many at once, through the client, against the barest way of moving them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

import aiohttp

from scripts.benchmarks.bare_storage import BareStorage
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row, in_turn

SMALL = 10 * 1024
AT_ONCE = 16
ROUND_S = 1.0

Step = Callable[[], Awaitable[object]]


async def rows(stack: Stack, rounds: int) -> list[Row]:
    """Measure creates and downloads."""
    bare = BareStorage(stack.settings)
    content = os.urandom(SMALL)
    made: list[str] = []
    async with stack.context() as ctx, aiohttp.ClientSession() as session:

        async def create() -> None:
            asset = await ctx.create_asset("benchmark", "application/octet-stream", content)
            made.append(asset.id)

        async def download() -> None:
            with await ctx.download_asset(made[0]) as file:
                if len(file.read()) != SMALL:
                    raise RuntimeError("the client gave another size")

        async def put() -> None:
            async with session.put(next(urls), data=content) as reply:
                reply.raise_for_status()

        async def get() -> None:
            async with session.get(get_url) as reply:
                reply.raise_for_status()
                await reply.read()

        urls = bare.put_urls((rounds + 1) * 4000)
        uploads = await in_turn(lambda: _rate(create), lambda: _rate(put), rounds=rounds)
        get_url = await ctx.get_asset_url(made[0])
        downloads = await in_turn(lambda: _rate(download), lambda: _rate(get), rounds=rounds)
    return [
        _row(f"create 10 KiB, {AT_ONCE} at once / aiohttp PUT alone", uploads),
        _row(f"download 10 KiB, {AT_ONCE} at once / aiohttp GET alone", downloads),
    ]


async def _rate(step: Step) -> float:
    """Return steps a second over a round, with so many at once."""
    begun = time.perf_counter()
    done = 0

    async def repeat() -> None:
        nonlocal done
        while time.perf_counter() - begun < ROUND_S:
            await step()
            done += 1

    await asyncio.gather(*(repeat() for _ in range(AT_ONCE)))
    return done / (time.perf_counter() - begun)


def _row(name: str, figures: tuple[float, float, float]) -> Row:
    ours, limit, ratio = figures
    return Row(name, f"{ours:.0f}/s", f"{limit:.0f}/s", f"{ratio:.2f}")
