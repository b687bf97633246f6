"""Statements on jobs, by asyncpg."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg

from app.database.statement import Connection

On: TypeAlias = "Connection | asyncpg.Pool[asyncpg.Record]"

SUMMARY = """
j.id, j.user_id, j.workflow_id, j.job_type, j.status, j.workflow_version, j.parent_job_id,
    j.error, j.progress,
j.attempt, j.max_attempts, j.priority, j.required_capabilities, j.node_types, j.timeout_s,
    j.worker_id,
j.cancel_requested_at, j.run_at, j.created_at, j.started_at, j.finished_at, j.cost, j.last_seq"""
WHOLE = f"""{SUMMARY}, j.traceparent,
    j.params::text as params, j.graph::text as graph, j.result::text as result"""
"""A whole job. What is large stays the text that it is: most often it is only passed on."""

STATE = """
j.id, j.user_id, j.status, j.attempt, j.max_attempts, j.last_seq, j.cancel_requested_at,
    j.worker_id,
j.required_capabilities, j.node_types, j.traceparent"""
"""What a transition needs to know of a job that it has locked."""

_GET = f"select {WHOLE} from jobs j where j.id = $1 and j.user_id = $2"
_TO_TELL = f"select {SUMMARY}, j.result from jobs j where j.id = $1"
_WHOLE = f"select {WHOLE} from jobs j where j.id = $1"
_STATUS = "select status, last_seq from jobs where id = $1 and user_id = $2"
_SOURCE = """
select workflow_id, workflow_version, job_type, status, params::text as params,
    graph::text as graph, priority, required_capabilities, node_types,
    timeout_s, max_attempts, webhook
from jobs where id = $1 and user_id = $2"""
_PAGE = """
select {columns} from jobs j
where j.user_id = $1 {status} and ($2::text is null or j.workflow_id = $2)
    and ($3::text is null or j.id < $3)
order by j.id desc limit $4"""
_UNFINISHED = f"""
select {SUMMARY} from jobs j where j.user_id = $1 and j.status = 'queued'
union all
select {SUMMARY} from jobs j where j.user_id = $1 and j.status = 'running'
order by id"""
_PARENT = """
select depth, status, cancel_requested_at from jobs where id = $1 for share"""
_LOCK = f"""
with j as materialized (select * from jobs where id = $1 and user_id = $2 for update)
select {STATE}, clock_timestamp() as now from j"""
_LOCK_CHILDREN = f"""
with j as materialized (
    select * from jobs where parent_job_id = $1 and status in ('queued', 'running')
        order by id for update
)
select {STATE}, clock_timestamp() as now from j"""
_DELETE = "delete from jobs where id = $1"
_REQUEST_CANCEL = "update jobs set cancel_requested_at = $2 where id = $1"
_END = """
with lease as (
    update job_leases set ended_at = $5 where job_id = $1 and ended_at is null
)
update jobs set status = $2, error = $3, result = $4, finished_at = $5, last_seq = $6,
    progress = case when $2::varchar = 'completed' then 1 else progress end
where id = $1
returning webhook, exists (
    select from jobs c where c.parent_job_id = $1 and c.status in ('queued', 'running')
) as has_children"""
_REQUEUE = """
update jobs set status = 'queued', worker_id = null, attempt = $2, last_seq = $3, progress = 0,
    attempt_started_at = null, available_at = $4
where id = $1"""
_HEADS = "select id, user_id, last_seq from jobs where id = any($1)"
_HEADS_OF_USERS = """
select id, user_id, last_seq from jobs where user_id = any($1) and status = 'queued'
union all
select id, user_id, last_seq from jobs where user_id = any($1) and status = 'running'
union all
select id, user_id, last_seq from jobs
where user_id = any($1) and finished_at > clock_timestamp() - $2::interval"""
_RUNNING = "select count(*) from jobs where user_id = $1 and status = 'running'"


async def get(on: On, job_id: str, *, user_id: str) -> asyncpg.Record | None:
    """One job of a user, whole."""
    row: asyncpg.Record | None = await on.fetchrow(_GET, job_id, user_id)
    return row


async def status(on: On, job_id: str, *, user_id: str) -> asyncpg.Record | None:
    """The status and the last `seq` of one job of a user."""
    row: asyncpg.Record | None = await on.fetchrow(_STATUS, job_id, user_id)
    return row


async def source(on: On, job_id: str, *, user_id: str) -> asyncpg.Record | None:
    """What it takes to run a job again."""
    row: asyncpg.Record | None = await on.fetchrow(_SOURCE, job_id, user_id)
    return row


async def newest(
    on: On,
    *,
    user_id: str,
    status: str | None,
    workflow_id: str | None,
    after: str | None,
    limit: int,
) -> list[asyncpg.Record]:
    """A user's jobs without what is large, newest first.

    The status is part of the text, not a parameter: only so do the partial indexes count.
    """
    clause = f"and j.status = '{status}'" if status else ""
    rows: list[asyncpg.Record] = await on.fetch(
        _PAGE.format(columns=SUMMARY, status=clause), user_id, workflow_id, after, limit
    )
    return rows


async def unfinished(on: On, *, user_id: str) -> list[asyncpg.Record]:
    """A user's jobs that have not ended, oldest first, without what is large."""
    rows: list[asyncpg.Record] = await on.fetch(_UNFINISHED, user_id)
    return rows


async def hold_parent(on: On, job_id: str) -> asyncpg.Record | None:
    """A job that cannot end until this transaction does."""
    row: asyncpg.Record | None = await on.fetchrow(_PARENT, job_id)
    return row


async def lock(on: On, job_id: str, *, user_id: str) -> asyncpg.Record | None:
    """One job of a user, locked."""
    row: asyncpg.Record | None = await on.fetchrow(_LOCK, job_id, user_id)
    return row


async def lock_children(on: On, job_id: str) -> list[asyncpg.Record]:
    """The jobs that a job started and that have not ended, locked."""
    rows: list[asyncpg.Record] = await on.fetch(_LOCK_CHILDREN, job_id)
    return rows


async def delete(on: On, job_id: str) -> None:
    """Remove a job."""
    await on.execute(_DELETE, job_id)


async def request_cancel(on: On, job_id: str, now: Any) -> None:
    """Note that a running job is to be cancelled."""
    await on.execute(_REQUEST_CANCEL, job_id, now)


async def end(
    on: On,
    job_id: str,
    *,
    status: str,
    error: Mapping[str, Any] | None,
    result: Mapping[str, Any] | None,
    now: Any,
    last_seq: int,
) -> asyncpg.Record:
    """Give a locked job its end status and end its lease.

    Returns:
        Its `webhook`, and whether it `has_children` that go on.
    """
    row: asyncpg.Record
    (row,) = await on.fetch(_END, job_id, status, error, result, now, last_seq)
    return row


async def requeue(on: On, job_id: str, *, attempt: int, last_seq: int, available_at: Any) -> None:
    """Put a running job back into the queue."""
    await on.execute(_REQUEUE, job_id, attempt, last_seq, available_at)


async def running(on: On, *, user_id: str) -> int:
    """How many jobs of a user are running."""
    count: int = await on.fetchval(_RUNNING, user_id)
    return count


async def heads(on: On, job_ids: Collection[str]) -> list[asyncpg.Record]:
    """The last `seq` of jobs, with their users."""
    rows: list[asyncpg.Record] = await on.fetch(_HEADS, list(job_ids))
    return rows


async def heads_of_users(
    on: On, user_ids: Collection[str], look_back: timedelta
) -> list[asyncpg.Record]:
    """The same of users' jobs that have not ended, or ended within `look_back`."""
    rows: list[asyncpg.Record] = await on.fetch(_HEADS_OF_USERS, list(user_ids), look_back)
    return rows


async def to_tell(on: On, job_id: str) -> asyncpg.Record:
    """One job as its webhook is told of it: with its result, without what its caller sent."""
    row: asyncpg.Record
    (row,) = await on.fetch(_TO_TELL, job_id)
    return row


async def whole(on: On, job_id: str) -> asyncpg.Record | None:
    """One job, whosever it is."""
    row: asyncpg.Record | None = await on.fetchrow(_WHOLE, job_id)
    return row
