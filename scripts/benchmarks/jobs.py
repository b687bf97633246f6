"""Jobs through workers, beside a queue on the same PostgreSQL that does without a service."""

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
from scripts.benchmarks import neighbour
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
_TELLING = orjson.dumps({"graph": clock()})
UNENDED = "select count(*) from jobs where status in ('queued', 'running')"


async def rows(stack: Stack, _: int) -> list[Row]:
    """Measure the rate, and how soon a job starts."""
    theirs = await neighbour.create(stack.database_url)
    pool = await asyncpg.create_pool(**connect_args(stack.database_url), min_size=1, max_size=2)
    async with pool, neighbour.app(theirs).open_async() as app:
        return [
            *await _throughput(stack, pool, app, theirs),
            await _starts(stack, app, theirs),
        ]


async def _throughput(
    stack: Stack, pool: asyncpg.Pool[asyncpg.Record], app: App, theirs: str
) -> list[Row]:
    """Time from the first POST to the last end; theirs are in the queue before the clock starts."""

    async def ours(create: Callable[[Stack, int], Awaitable[None]], callers: int) -> float:
        began = time.perf_counter()
        await asyncio.gather(*(create(stack, JOBS_A_ROUND // callers) for _ in range(callers)))
        while await pool.fetchval(UNENDED):  # noqa: ASYNC110  # the database can only be asked
            await asyncio.sleep(0.01)
        return JOBS_A_ROUND / (time.perf_counter() - began)

    async def limit() -> float:
        await app.configure_task("noop").batch_defer_async(*[{} for _ in range(JOBS_A_ROUND)])
        async with AsyncExitStack() as exits:
            workers = [
                await exits.enter_async_context(neighbour.worker(theirs, "drain", SLOTS))
                for _ in range(WORKERS)
            ]
            began = time.perf_counter()
            for worker in workers:
                neighbour.begin(worker)
            await asyncio.gather(*(worker.wait() for worker in workers))
            return JOBS_A_ROUND / (time.perf_counter() - began)

    found = []
    async with _workers(stack, WORKERS):
        for how, create, callers in (
            (f"{BATCH} a request", call_in_batches, 1),
            (f"one by one from {CALLERS} callers", call, CALLERS),
        ):
            mine, most, ratio = await in_turn(partial(ours, create, callers), limit, rounds=ROUNDS)
            found.append(
                Row(
                    f"no-op jobs made {how}, {WORKERS} workers of {SLOTS} slots, end to end / "
                    "procrastinate draining",
                    f"{mine:.0f}/s",
                    f"{most:.0f}/s",
                    f"{ratio:.2f}",
                )
            )
    return found


async def call(stack: Stack, jobs: int) -> None:
    """Start no-op jobs, one after the other."""
    async with Connection(stack.url, stack.token) as api:
        for _ in range(jobs):
            await api.post("/v1/jobs", _JOB)


async def call_in_batches(stack: Stack, jobs: int) -> None:
    """Start no-op jobs, many with a request."""
    async with Connection(stack.url, stack.token) as api:
        for _ in range(jobs // BATCH):
            await api.post("/v1/jobs/batch", _JOBS)


async def _starts(stack: Stack, app: App, theirs: str) -> Row:
    """One job at a time, on workers that have nothing else to do."""
    ours: list[float] = []
    limit: list[float] = []
    async with (
        _workers(stack, 1),
        neighbour.worker(theirs, "wait", SLOTS) as worker,
        Connection(stack.url, stack.token) as api,
    ):
        neighbour.begin(worker)
        for _ in range(STARTS):
            began = time.perf_counter()
            job = await api.post("/v1/jobs", _TELLING)
            while job["status"] != "completed":
                await asyncio.sleep(0.05)
                job = await api.get(f"/v1/jobs/{job['id']}")
            ours.append(job["result"]["began"] - began)
            began = time.perf_counter()
            await app.configure_task("tell").defer_async()
            limit.append(await neighbour.told(worker) - began)
            await asyncio.sleep(0.05)
    mine, best = statistics.median(ours[5:]), statistics.median(limit[5:])
    return Row(
        "enqueue to start on an idle system, p50 / procrastinate's",
        f"{mine * 1000:.1f} ms",
        f"{best * 1000:.1f} ms",
        f"{mine / best:.2f}",
    )


@asynccontextmanager
async def _workers(stack: Stack, count: int) -> AsyncIterator[None]:
    with_slots = ("--slots", str(SLOTS), "--log-level", "warning", *NODES)
    async with AsyncExitStack() as exits:
        for _ in range(count):
            exits.enter_context(running_worker(stack.url, stack.token, *with_slots))
        async with Connection(stack.url, stack.token) as api:
            while len((await api.get("/v1/workers"))["workers"]) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        yield
