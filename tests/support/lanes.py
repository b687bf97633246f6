"""Lanes of the queue in the database of a service, and jobs that are inserted by SQL."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg

from app.database.engine import connect_args
from app.runtime.ids import new_id
from tests.support.services import Service

_INSERT_JOB = """
insert into jobs (id, user_id, job_type, status, params, graph, priority, required_capabilities,
    node_types, max_attempts, last_seq, created_at, available_at)
select id, $2, 'workflow', 'queued', '{}', '{"nodes": [], "edges": []}', 0, $3, '{}', 3, 1, now(),
    now()
from unnest($1::text[]) as id"""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


def id_of(age: timedelta) -> str:
    """Return an id as a replica makes it whose clock is slow by `age`."""
    milliseconds = int((datetime.now(UTC) - age).timestamp() * 1000)
    return f"{milliseconds:012x}{new_id()[12:]}"


async def insert_jobs(
    on: Connection, user_id: str, ids: Sequence[str], *, capabilities: Sequence[str] = ()
) -> None:
    """Insert queued jobs."""
    await on.execute(_INSERT_JOB, list(ids), user_id, list(capabilities))


@asynccontextmanager
async def connection(service: Service) -> AsyncIterator[Connection]:
    """Open a connection to the database of a service."""
    on = await asyncpg.connect(**connect_args(service.settings.database_url or ""))
    try:
        yield on
    finally:
        await on.close()


async def floors(on: Connection, user_id: str) -> list[str]:
    """Return the floors of the rows of a user's lanes."""
    query = "select floor from queue_lanes where user_id = $1 order by floor"
    return [row["floor"] for row in await on.fetch(query, user_id)]


async def buffers(on: Connection, query: str, *args: Any) -> int:
    """Return the number of blocks that a query reads."""
    plan = await on.fetchval(f"explain (analyze, buffers, format json) {query}", *args)
    [found] = json.loads(plan)
    return int(found["Plan"]["Shared Hit Blocks"]) + int(found["Plan"]["Shared Read Blocks"])
