"""Benchmarks of jobs: throughput and time to start, against procrastinate on the same server."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import asyncpg
import orjson
from procrastinate import App

from app.database.engine import connect_args
from scripts.benchmarks import procrastinate_queue
from scripts.benchmarks.noop import chain, clock
from scripts.benchmarks.requests import Connection
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row, in_turn
from tests.support.processes import running_worker

WORKERS = 4
SLOTS = 8
JOBS_A_ROUND = 1000
CALLERS = 8
BATCH = 100
ROUNDS = 3
STARTS = 60
GRAPH = chain(1)
NODES = ("--nodes", "scripts.benchmarks.noop")
_JOB = orjson.dumps({"graph": GRAPH})
_JOBS = orjson.dumps({"jobs": [{"graph": GRAPH}] * BATCH})
_CLOCK_JOB = orjson.dumps({"graph": clock()})
UNENDED = "select count(*) from jobs where status in ('queued', 'running')"


async def rows(stack: Stack, _: int) -> list[Row]:
    """Measure the throughput, and the time from enqueue to start."""
    queue_url = await procrastinate_queue.create(stack.database_url)
    pool = await asyncpg.create_pool(**connect_args(stack.database_url), min_size=1, max_size=2)
    async with pool, procrastinate_queue.app(queue_url).open_async() as app:
        return [
            *await _throughput(stack, pool, app, queue_url),
            await _starts(stack, app, queue_url),
        ]


async def _throughput(
    stack: Stack, pool: asyncpg.Pool[asyncpg.Record], app: App, queue_url: str
) -> list[Row]:
    """Measure from the first POST to the last end; the baseline's jobs are enqueued before."""

    async def service(create: Callable[[Stack, int], Awaitable[None]], callers: int) -> float:
        began = time.perf_counter()
        await asyncio.gather(*(create(stack, JOBS_A_ROUND // callers) for _ in range(callers)))
        while await pool.fetchval(UNENDED):  # noqa: ASYNC110  # the database can only be asked
            await asyncio.sleep(0.01)
        return JOBS_A_ROUND / (time.perf_counter() - began)

    async def baseline() -> float:
        await app.configure_task("noop").batch_defer_async(*[{} for _ in range(JOBS_A_ROUND)])
        async with AsyncExitStack() as exits:
            workers = [
                await exits.enter_async_context(
                    procrastinate_queue.worker(queue_url, "drain", SLOTS)
                )
                for _ in range(WORKERS)
            ]
            began = time.perf_counter()
            for worker in workers:
                procrastinate_queue.begin(worker)
            await asyncio.gather(*(worker.wait() for worker in workers))
            return JOBS_A_ROUND / (time.perf_counter() - began)

    found = []
    async with _workers(stack, WORKERS):
        for how, create, callers in (
            (f"{BATCH} per request", call_in_batches, 1),
            (f"one by one from {CALLERS} callers", call, CALLERS),
        ):
            rate, baseline_rate, ratio = await in_turn(
                partial(service, create, callers), baseline, rounds=ROUNDS
            )
            found.append(
                Row(
                    f"no-op jobs created {how}, {WORKERS} workers of {SLOTS} slots, end to end / "
                    "procrastinate draining its queue",
                    f"{rate:.0f}/s",
                    f"{baseline_rate:.0f}/s",
                    f"{ratio:.2f}",
                )
            )
    return found


async def call(stack: Stack, jobs: int) -> None:
    """Create no-op jobs, one after the other."""
    async with Connection(stack.url, stack.token) as api:
        for _ in range(jobs):
            await api.post("/v1/jobs", _JOB)


async def call_in_batches(stack: Stack, jobs: int) -> None:
    """Create no-op jobs in batches."""
    async with Connection(stack.url, stack.token) as api:
        for _ in range(jobs // BATCH):
            await api.post("/v1/jobs/batch", _JOBS)


async def _starts(stack: Stack, app: App, queue_url: str) -> Row:
    """Measure the time to start of one job at a time, on idle workers."""
    measured: list[float] = []
    baseline: list[float] = []
    async with (
        _workers(stack, 1),
        procrastinate_queue.worker(queue_url, "wait", SLOTS) as worker,
        Connection(stack.url, stack.token) as api,
    ):
        procrastinate_queue.begin(worker)
        for _ in range(STARTS):
            began = time.perf_counter()
            job = await api.post("/v1/jobs", _CLOCK_JOB)
            while job["status"] != "completed":
                await asyncio.sleep(0.05)
                job = await api.get(f"/v1/jobs/{job['id']}")
            measured.append(job["result"]["began"] - began)
            began = time.perf_counter()
            await app.configure_task("clock").defer_async()
            baseline.append(await procrastinate_queue.next_start(worker) - began)
            await asyncio.sleep(0.05)
    p50, baseline_p50 = statistics.median(measured[5:]), statistics.median(baseline[5:])
    return Row(
        "enqueue to start on an idle system, p50 / procrastinate (less is better)",
        f"{p50 * 1000:.1f} ms",
        f"{baseline_p50 * 1000:.1f} ms",
        f"{p50 / baseline_p50:.2f}",
    )


@asynccontextmanager
async def _workers(stack: Stack, count: int) -> AsyncIterator[None]:
    options = ("--slots", str(SLOTS), "--log-level", "warning", *NODES)
    async with AsyncExitStack() as exits:
        for _ in range(count):
            exits.enter_context(running_worker(stack.url, stack.token, *options))
        async with Connection(stack.url, stack.token) as api:
            while len((await api.get("/v1/workers"))["workers"]) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        yield
