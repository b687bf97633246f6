"""Benchmark of claims from long queues, of many users, and behind an old snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg
import orjson

from app.database.engine import connect_args
from app.runtime.ids import new_id
from scripts.benchmarks.manual_worker import ManualWorker, new_user
from scripts.benchmarks.noop import chain
from scripts.benchmarks.requests import Connection
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row, in_turn

ENDED = 400_000
BASELINE_QUEUED = 1_000
ROUNDS = 3
SETTLE_S = 12
"""Time after which the service has read the numbers of running jobs again."""

GRAPH = orjson.dumps(chain(1)).decode()
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

# The ids grow, as those of real jobs do.
_FILL = """
insert into jobs (id, user_id, job_type, status, params, graph, priority, required_capabilities,
    node_types, max_attempts, last_seq, created_at, available_at)
select $1 || lpad(to_hex(n), 20, '0'), ($2::text[])[1 + n % cardinality($2::text[])], 'workflow',
    'queued', '{}', $3::text::json, 0, '{}', '{}', 3, 1, now(), now()
from generate_series(1, $4::int) n"""
_RUN = "update jobs set status = 'running' where user_id = any($1) and status = 'queued'"
_END = """
update jobs set status = 'completed', finished_at = now()
where user_id = any($1) and status = 'running'"""


@dataclass(frozen=True)
class Condition:
    """A state of the queue; with `is_old`, its users had many jobs end behind a snapshot."""

    queued: int
    users: int
    is_old: bool

    @property
    def name(self) -> str:
        """The name of the row."""
        behind = f", {ENDED:,} jobs ended behind an old snapshot" if self.is_old else ""
        users = "1 user" if self.users == 1 else f"{self.users} users"
        return f"claims, {self.queued:,} queued jobs of {users}{behind}"


CONDITIONS = [
    Condition(queued, users, is_old)
    for is_old in (False, True)
    for queued, users in ((1_000, 1), (10_000, 1), (100_000, 1), (10_000, 100))
]


async def rows(stack: Stack, _: int) -> list[Row]:
    """Measure the rates of claims, each beside that of a short queue of another user."""
    pool = await asyncpg.create_pool(**connect_args(stack.database_url), min_size=1, max_size=1)
    async with pool, Connection(stack.url, stack.token) as admin:
        return [await _measure(stack, pool, admin, condition) for condition in CONDITIONS]


async def _measure(stack: Stack, pool: Pool, admin: Connection, condition: Condition) -> Row:
    alone = await new_user(admin, "alone")
    owner = await new_user(admin, "owner", fleet=condition.users > 1)
    others = [(await new_user(admin, "one of many"))[0] for _ in range(condition.users - 1)]
    users = [owner[0], *others]
    async with _snapshot(stack, pool, users, is_old=condition.is_old):
        await fill(pool, [alone[0]], BASELINE_QUEUED)
        await fill(pool, users, condition.queued)
        await pool.execute("analyze jobs", timeout=300)
        async with (
            Connection(stack.url, alone[1]) as one,
            Connection(stack.url, owner[1]) as other,
        ):
            baseline, measured = await ManualWorker.of(one), await ManualWorker.of(other)
            rate, baseline_rate, ratio = await in_turn(measured.rate, baseline.rate, rounds=ROUNDS)
    await pool.execute("delete from jobs where status = 'queued'", timeout=300)
    name = f"{condition.name} / {BASELINE_QUEUED:,} queued jobs of 1 user"
    return Row(name, f"{rate:.0f}/s", f"{baseline_rate:.0f}/s", f"{ratio:.2f}")


@asynccontextmanager
async def _snapshot(
    stack: Stack, pool: Pool, users: Sequence[str], *, is_old: bool
) -> AsyncIterator[None]:
    """Hold a snapshot that is older than the end of many jobs, if `is_old`."""
    if not is_old:
        yield
        return
    holder = await asyncpg.connect(**connect_args(stack.database_url))
    try:
        async with holder.transaction(isolation="repeatable_read"):
            await holder.fetchval("select count(*) from users")
            await fill(pool, users, ENDED)
            await pool.execute(_RUN, users, timeout=600)
            await pool.execute(_END, users, timeout=600)
            await asyncio.sleep(SETTLE_S)
            yield
    finally:
        await holder.close()


async def fill(pool: Pool, users: Sequence[str], count: int) -> None:
    """Insert queued jobs of users by turns."""
    await pool.execute(_FILL, new_id()[:12], users, GRAPH, count, timeout=600)
