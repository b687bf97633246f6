"""Benchmarks of small files through the client, against aiohttp requests to the S3 server."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable

from processing_context import ProcessingContext
from scripts.benchmarks.bare_aiohttp import BareProcess, bare_process
from scripts.benchmarks.bare_storage import BareStorage
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row, in_turn

SMALL = 10 * 1024
AT_ONCE = (16, 1)
FILES = 256
ROUND_S = 1.0
_MAX_PUTS_PER_ROUND = 5_000

Step = Callable[[], Awaitable[object]]


async def rows(stack: Stack, rounds: int) -> list[Row]:
    """Measure uploads and downloads, 16 at once and one at a time."""
    bare = BareStorage(stack.settings)
    found = []
    async with stack.context() as ctx, bare_process() as process:
        for at_once in AT_ONCE:
            found.append(await _creates(ctx, bare, process, at_once, rounds))
            found.append(await _downloads(ctx, process, at_once, rounds))
    return found


async def _creates(
    ctx: ProcessingContext, bare: BareStorage, process: BareProcess, at_once: int, rounds: int
) -> Row:
    content = os.urandom(SMALL)

    async def create() -> None:
        await ctx.create_asset("benchmark", "application/octet-stream", content)

    async def put() -> float:
        urls = list(bare.put_urls(_MAX_PUTS_PER_ROUND))
        return await process.rate(
            method="PUT", urls=urls, at_once=at_once, seconds=ROUND_S, size=SMALL
        )

    figures = await in_turn(lambda: _rate(create, at_once), put, rounds=rounds)
    return _row(f"create 10 KiB, {at_once} at once / aiohttp PUT alone", figures)


async def _downloads(
    ctx: ProcessingContext, process: BareProcess, at_once: int, rounds: int
) -> Row:
    content = os.urandom(SMALL)
    kind = "application/octet-stream"
    made = [await ctx.create_asset("benchmark", kind, content) for _ in range(FILES)]
    ids = itertools.cycle([asset.id for asset in made])

    async def download() -> None:
        with await ctx.download_asset(next(ids)) as file:
            if file.read() != content:
                raise RuntimeError("the client returned other bytes than were uploaded")

    async def get() -> float:
        urls = [(await ctx.find_asset(asset.id)).get_url for asset in made]
        return await process.rate(
            method="GET", urls=urls, at_once=at_once, seconds=ROUND_S, size=SMALL
        )

    figures = await in_turn(lambda: _rate(download, at_once), get, rounds=rounds)
    return _row(f"download 10 KiB, {at_once} at once / aiohttp GET alone", figures)


async def _rate(step: Step, at_once: int) -> float:
    """Return the steps per second of a round."""
    started = time.perf_counter()
    done = 0

    async def repeat() -> None:
        nonlocal done
        while time.perf_counter() - started < ROUND_S:
            await step()
            done += 1

    await asyncio.gather(*(repeat() for _ in range(at_once)))
    return done / (time.perf_counter() - started)


def _row(name: str, figures: tuple[float, float, float]) -> Row:
    rate, baseline, ratio = figures
    return Row(name, f"{rate:.0f}/s", f"{baseline:.0f}/s", f"{ratio:.2f}")
