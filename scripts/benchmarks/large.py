"""Benchmarks of large files through the client, against the slower of `http.client` and SHA-256."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
import time
from pathlib import Path

from app.settings import MIB
from processing_context import ProcessingContext
from scripts.benchmarks.bare_storage import BareStorage
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row, in_turn

SIZES = ((64 * MIB, "64 MiB"), (1024 * MIB, "1 GiB"))
_MAX_ROUNDS_OF_LARGEST = 3


async def rows(stack: Stack, rounds: int) -> list[Row]:
    """Measure uploads and downloads."""
    bare = BareStorage(stack.settings)
    found: list[Row] = []
    async with stack.context() as ctx:
        with tempfile.TemporaryDirectory(prefix="context-bench-") as folder:
            for size, label in SIZES:
                path = Path(folder) / label
                write_random(path, size)
                count = rounds if size < 256 * MIB else min(rounds, _MAX_ROUNDS_OF_LARGEST)
                found += await _both_ways(ctx, bare, path, label, count)
                path.unlink()
    return found


def write_random(path: Path, size: int) -> None:
    """Create a file of random bytes."""
    with path.open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))


async def _both_ways(
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

    async def hashed() -> float:
        begun = time.perf_counter()
        await asyncio.to_thread(_sha256, path)
        return size / (time.perf_counter() - begun)

    async def bare_upload() -> float:
        url = next(urls)
        begun = time.perf_counter()
        await asyncio.to_thread(bare.put, url, path)
        taken = time.perf_counter() - begun
        await asyncio.to_thread(bare.delete, url)
        return min(size / taken, await hashed())

    async def download() -> float:
        begun = time.perf_counter()
        with await ctx.download_asset(asset.id):
            return size / (time.perf_counter() - begun)

    async def bare_download() -> float:
        begun = time.perf_counter()
        await asyncio.to_thread(bare.get, get_url, size)
        return min(size / (time.perf_counter() - begun), await hashed())

    found = [
        _row(
            f"upload {label} / the slower of http.client PUT and SHA-256",
            await in_turn(upload, bare_upload, rounds=rounds),
        ),
        _row(
            f"download {label} / the slower of http.client GET and SHA-256",
            await in_turn(download, bare_download, rounds=rounds),
        ),
    ]
    await ctx.delete_asset(asset.id)
    await asyncio.to_thread(bare.delete, get_url)
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _row(name: str, figures: tuple[float, float, float]) -> Row:
    rate, baseline, ratio = figures
    return Row(name, f"{rate / MIB:.0f} MiB/s", f"{baseline / MIB:.0f} MiB/s", f"{ratio:.2f}")
