"""Statements on workers, by asyncpg: heartbeats and claims run them all the time."""

from __future__ import annotations

from typing import Any, TypeAlias

import asyncpg

from app.database.statement import Connection

On: TypeAlias = "Connection | asyncpg.Pool[asyncpg.Record]"

_COLUMNS = """
w.id, w.user_id, w.token_id, w.is_fleet, w.name, w.capabilities, w.node_types, w.slots, w.metadata,
w.is_draining, w.last_seen_at, w.created_at,
w.last_seen_at < clock_timestamp() - $1 * interval '1 s' as is_lost,
array(select l.job_id from job_leases l where l.worker_id = w.id and l.ended_at is null
      order by l.job_id) as running_jobs"""

_INSERT = """
insert into workers (id, user_id, token_id, is_fleet, name, capabilities, node_types, slots,
    metadata)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"""
_PAGE = f"""
select {_COLUMNS} from workers w
where w.user_id = $2 and ($3::text is null or w.id < $3) order by w.id desc limit $4"""
_GET = f"select {_COLUMNS} from workers w where w.id = $2"
_FIND = """
select id, user_id, token_id, is_fleet, capabilities, node_types, is_draining
from workers where id = $1"""
_LOCK = f"{_FIND} for {{}}"
_BEAT = """
update workers set last_seen_at = clock_timestamp(), is_draining = coalesce($2, is_draining)
where id = $1"""
_SEEN = """
update workers w set last_seen_at = clock_timestamp()
from (select id from workers where id = any($1) order by id for no key update) locked
where w.id = locked.id"""
_ACTIVE = """
select distinct capabilities, node_types from workers
where (is_fleet or user_id = $1) and not is_draining
    and last_seen_at >= clock_timestamp() - $2 * interval '1 s'"""
_FORGET = """
delete from workers w where w.last_seen_at < now() - interval '1 day'
    and not exists (select from job_leases l where l.worker_id = w.id and l.ended_at is null)"""


async def insert(on: On, *values: Any) -> None:
    """Store a new worker."""
    await on.execute(_INSERT, *values)


async def newest(
    on: On, *, lost_after_s: float, user_id: str, after: str | None, limit: int
) -> list[asyncpg.Record]:
    """A user's workers, newest first."""
    rows: list[asyncpg.Record] = await on.fetch(_PAGE, lost_after_s, user_id, after, limit)
    return rows


async def get(on: On, worker_id: str, *, lost_after_s: float) -> asyncpg.Record | None:
    """One worker."""
    row: asyncpg.Record | None = await on.fetchrow(_GET, lost_after_s, worker_id)
    return row


async def find(on: On, worker_id: str) -> asyncpg.Record | None:
    """What never changes of one worker, and whether it drains."""
    row: asyncpg.Record | None = await on.fetchrow(_FIND, worker_id)
    return row


async def hold(on: On, worker_id: str) -> asyncpg.Record | None:
    """One worker, which stays there until the end of the transaction."""
    row: asyncpg.Record | None = await on.fetchrow(_LOCK.format("key share"), worker_id)
    return row


async def lock(on: On, worker_id: str) -> asyncpg.Record | None:
    """One worker, to which nobody else gives a job until the end of the transaction."""
    row: asyncpg.Record | None = await on.fetchrow(_LOCK.format("update"), worker_id)
    return row


async def beat(on: On, worker_id: str, *, draining: bool | None) -> None:
    """Note that a worker spoke, and whether it takes jobs."""
    await on.execute(_BEAT, worker_id, draining)


async def seen(on: On, worker_ids: list[str]) -> None:
    """Note that workers spoke; locked in one order, since other replicas do the same."""
    await on.execute(_SEEN, worker_ids)


async def active(on: On, *, user_id: str, lost_after_s: float) -> list[asyncpg.Record]:
    """What the workers that take a user's jobs can run, each combination once."""
    rows: list[asyncpg.Record] = await on.fetch(_ACTIVE, user_id, lost_after_s)
    return rows


async def delete(on: On, worker_id: str) -> None:
    """Remove a worker."""
    await on.execute("delete from workers where id = $1", worker_id)


async def forget_lost(on: On) -> None:
    """Remove those not heard of for a day."""
    await on.execute(_FORGET)
