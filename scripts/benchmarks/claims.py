"""Benchmark of claims from a queue with a million ended jobs."""

from __future__ import annotations

import asyncpg
import orjson

from app.database.engine import connect_args
from scripts.benchmarks.manual_worker import ManualWorker, new_user
from scripts.benchmarks.noop import chain
from scripts.benchmarks.requests import Connection
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row, in_turn

ENDED = 1_000_000
QUEUED = 10_000
ROUNDS = 5

# Two users with as many queued jobs each; one of them also has the ended jobs.
_FILL = """
insert into jobs (id, user_id, job_type, status, params, graph, priority, required_capabilities,
    node_types, max_attempts, last_seq, created_at, available_at, finished_at)
select lpad(to_hex($1::bigint + n), 32, '0'), $2, 'workflow', $3::varchar, '{}'::json,
    $4::text::json, 0, '{}', '{}', 3, 1, now(), now(),
    case when $3::varchar = 'completed' then now() end
from generate_series(1, $5::int) n"""


async def rows(stack: Stack, _: int) -> list[Row]:
    """Measure the rate of claims."""
    pool = await asyncpg.create_pool(**connect_args(stack.database_url), min_size=1, max_size=1)
    async with pool, Connection(stack.url, stack.token) as admin:
        alone, busy = await new_user(admin, "alone"), await new_user(admin, "with a history")
        graph = orjson.dumps(chain(1)).decode()
        for first, user_id, status, count in (
            (0, alone[0], "queued", QUEUED),
            (ENDED, busy[0], "queued", QUEUED),
            (2 * ENDED, busy[0], "completed", ENDED),
        ):
            await pool.execute(_FILL, first, user_id, status, graph, count, timeout=300)
        await pool.execute("vacuum analyze jobs", timeout=300)
        async with Connection(stack.url, alone[1]) as one, Connection(stack.url, busy[1]) as other:
            claims = await ManualWorker.of(one), await ManualWorker.of(other)
            measured, baseline, ratio = await in_turn(claims[1].rate, claims[0].rate, rounds=ROUNDS)
    return [
        Row(
            f"claims, {QUEUED:,} queued and {ENDED:,} ended jobs / {QUEUED:,} queued jobs only",
            f"{measured:.0f}/s",
            f"{baseline:.0f}/s",
            f"{ratio:.2f}",
        )
    ]
