"""Bytes through the client against the barest way of moving the same bytes."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from app.settings import MIB, Settings
from processing_context import ProcessingContext
from scripts.benchmarks.bare_storage import BareStorage
from scripts.benchmarks.table import Row, in_turn

SMALL = 10 * 1024
LARGE = ((64 * MIB, "64 MiB"), (1024 * MIB, "1 GiB"))
AT_ONCE = 16
ROUND_S = 1.0
_MOST_OF_THE_LARGEST = 3

Step = Callable[[], Awaitable[object]]


async def rows(ctx: ProcessingContext, settings: Settings, *, rounds: int) -> list[Row]:
    """Measure upload and download of small and large files."""
    bare = BareStorage(settings)
    found = await _small(ctx, bare, rounds)
    with tempfile.TemporaryDirectory(prefix="context-bench-") as folder:
        for size, label in LARGE:
            path = Path(folder) / label
            write_random(path, size)
            some = rounds if size < 256 * MIB else min(rounds, _MOST_OF_THE_LARGEST)
            found += await _large(ctx, bare, path, label, some)
            path.unlink()
    return found


def write_random(path: Path, size: int) -> None:
    """Make a file of random bytes."""
    with path.open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))


async def _large(
    ctx: ProcessingContext, bare: BareStorage, path: Path, label: str, rounds: int
) -> list[Row]:
    size = (await asyncio.to_thread(path.stat)).st_size
    urls = bare.put_urls(rounds + 1)
    asset = await ctx.create_asset("benchmark", "application/octet-stream", path)
    get_url = await asyncio.to_thread(bare.get_url, path)

    async def upload() -> float:
        begun = time.perf_counter()
        made = await ctx.create_asset("benchmark", "application/octet-stream", path)
        taken = time.perf_counter() - begun
        await ctx.delete_asset(made.id)
        return size / taken

    async def bare_upload() -> float:
        url = next(urls)
        begun = time.perf_counter()
        await asyncio.to_thread(bare.put, url, path)
        taken = time.perf_counter() - begun
        await asyncio.to_thread(bare.delete, url)
        return size / taken

    async def download() -> float:
        begun = time.perf_counter()
        with await ctx.download_asset(asset.id):
            return size / (time.perf_counter() - begun)

    async def bare_download() -> float:
        begun = time.perf_counter()
        await asyncio.to_thread(bare.get, get_url, size)
        return size / (time.perf_counter() - begun)

    found = [
        _rate_row(
            f"upload {label} / http.client PUT",
            await in_turn(upload, bare_upload, rounds=rounds),
        ),
        _rate_row(
            f"download {label} / http.client GET",
            await in_turn(download, bare_download, rounds=rounds),
        ),
    ]
    await ctx.delete_asset(asset.id)
    await asyncio.to_thread(bare.delete, get_url)
    return found


async def _small(ctx: ProcessingContext, bare: BareStorage, rounds: int) -> list[Row]:
    content = os.urandom(SMALL)
    made: list[str] = []
    async with aiohttp.ClientSession() as session:

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
    for asset_id in made:
        await ctx.delete_asset(asset_id)
    return [
        _count_row(f"create 10 KiB, {AT_ONCE} at once / aiohttp PUT alone", uploads),
        _count_row(f"download 10 KiB, {AT_ONCE} at once / aiohttp GET alone", downloads),
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


def _rate_row(name: str, figures: tuple[float, float, float]) -> Row:
    ours, limit, ratio = figures
    return Row(name, f"{ours / MIB:.0f} MiB/s", f"{limit / MIB:.0f} MiB/s", f"{ratio:.2f}")


def _count_row(name: str, figures: tuple[float, float, float]) -> Row:
    ours, limit, ratio = figures
    return Row(name, f"{ours:.0f}/s", f"{limit:.0f}/s", f"{ratio:.2f}")
