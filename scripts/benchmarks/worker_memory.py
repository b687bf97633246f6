"""Benchmark of a worker's memory over thousands of jobs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg

from app.database.engine import connect_args
from scripts.benchmarks.jobs import CALLERS, NODES, UNENDED, call
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row
from tests.support.processes import running_worker

WARM, JOBS = 1000, 10_000


async def rows(stack: Stack, _: int) -> list[Row]:
    """Measure the memory after the first thousand jobs, and after ten thousand."""
    pool = await asyncpg.create_pool(**connect_args(stack.database_url), min_size=1, max_size=1)
    options = ("--slots", "8", "--log-level", "warning", *NODES)
    async with pool:
        with running_worker(stack.url, stack.token, *options) as worker:
            await _run(stack, pool, WARM)
            before = _resident_bytes(worker.pid)
            await _run(stack, pool, JOBS - WARM)
            after = _resident_bytes(worker.pid)
    return [
        Row(
            f"worker: memory after {JOBS:,} jobs / after {WARM:,}",
            f"{after / 2**20:.1f} MiB",
            f"{before / 2**20:.1f} MiB",
            f"{after / before:.2f}",
        )
    ]


async def _run(stack: Stack, pool: asyncpg.Pool[asyncpg.Record], jobs: int) -> None:
    await asyncio.gather(*(call(stack, jobs // CALLERS) for _ in range(CALLERS)))
    while await pool.fetchval(UNENDED):  # noqa: ASYNC110  # the database can only be asked
        await asyncio.sleep(0.05)


def _resident_bytes(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024
