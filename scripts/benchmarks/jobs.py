"""Jobs through one worker."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg
import httpx

from app.core.db import connect_args
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row, in_turn
from tests.processes import running_worker

JOBS_A_ROUND = 100
GRAPH = {
    "nodes": [
        {"id": "in", "type": "input.IntegerInput", "data": {"name": "n", "value": 1}},
        {"id": "out", "type": "output.NumberOutput", "data": {"name": "n"}},
    ],
    "edges": [{"source": "in", "sourceHandle": "output", "target": "out", "targetHandle": "value"}],
}
_STEPS = (
    "insert into benchmark_jobs (id, status) values ($1, 'queued')",
    "update benchmark_jobs set status = 'running' where id = (select id from benchmark_jobs "
    "where status = 'queued' and id = $1 for update skip locked)",
    "update benchmark_jobs set status = 'completed' where id = $1",
)


async def rows(stack: Stack, rounds: int) -> list[Row]:
    """Measure the rate."""
    pool = await asyncpg.create_pool(**connect_args(stack.database_url), min_size=1, max_size=8)
    api = httpx.AsyncClient(base_url=stack.url, headers=stack.headers, timeout=60)
    with running_worker(stack.url, stack.token, "--slots", "8"):
        async with pool, api:
            await pool.execute("create table benchmark_jobs (id bigint primary key, status text)")
            return [await _throughput(api, pool, rounds=rounds)]


async def _throughput(api: httpx.AsyncClient, pool: Any, *, rounds: int) -> Row:
    numbers = iter(range(10_000_000))

    async def ours() -> float:
        started = time.perf_counter()
        await asyncio.gather(*(_run(api) for _ in range(JOBS_A_ROUND)))
        return JOBS_A_ROUND / (time.perf_counter() - started)

    async def one() -> None:
        number = next(numbers)
        for statement in _STEPS:
            await pool.execute(statement, number)

    async def limit() -> float:
        started = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(JOBS_A_ROUND)))
        return JOBS_A_ROUND / (time.perf_counter() - started)

    mine, most, ratio = await in_turn(ours, limit, rounds=rounds)
    return Row(
        "no-op jobs, one worker / insert, claim, finish by bare asyncpg",
        f"{mine:.0f}/s",
        f"{most:.0f}/s",
        f"{ratio:.2f}",
    )


async def _run(api: httpx.AsyncClient) -> None:
    reply = await api.post("/v1/jobs", json={"graph": GRAPH}, headers={"Prefer": "wait=60"})
    if reply.status_code != httpx.codes.OK or reply.json()["status"] != "completed":
        raise RuntimeError(f"a no-op job ended as {reply.text[:500]}")
