"""Statements that lock and change the rows of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from app.database.statement import Connection, Query, Statement
from app.events.job_queries import SUMMARY_COLUMNS, JobSummary


class LockedJob(NamedTuple):
    """Fields of a locked job for transitions; `now` was read after the lock was acquired."""

    id: str
    user_id: str
    parent_job_id: str | None
    status: str
    attempt: int
    max_attempts: int
    last_seq: int
    dropped_events: int
    unanswered_leases: int
    cancel_requested_at: datetime | None
    required_capabilities: list[str]
    node_types: list[str]
    traceparent: str | None
    now: datetime


class EndedJob(NamedTuple):
    """The webhook of a job that has just ended, and whether it has unfinished child jobs."""

    webhook: dict[str, Any] | None
    has_children: bool


class JobWithResult(NamedTuple):
    """A job with its result, but without `graph` and `params`."""

    job: JobSummary
    result: Any


LOCKED_FIELDS = LockedJob._fields[:-1]
"""Fields of a locked job that are columns of `jobs`."""
LOCKED_COLUMNS = ", ".join(f"j.{name}" for name in LOCKED_FIELDS)

# The clock is read outside the CTE: inside, it would be read before the wait for the lock.
_LOCK = Query(
    f"""
with j as materialized (
    select * from jobs where id = :job_id and user_id = :user_id for update
)
select {LOCKED_COLUMNS}, clock_timestamp() as now from j""",
    LockedJob,
)
_LOCK_CHILDREN = Query(
    f"""
with j as materialized (
    select * from jobs where parent_job_id = :job_id and status in ('queued', 'running')
        order by id for update
)
select {LOCKED_COLUMNS}, clock_timestamp() as now from j""",
    LockedJob,
)
_REQUEST_CANCEL = Statement("update jobs set cancel_requested_at = :now where id = :job_id")
_END = Query(
    """
with lease as (
    update job_leases set ended_at = :now where job_id = :job_id and ended_at is null
)
update jobs set status = :status, error = :error, result = :result, finished_at = :now,
    last_seq = :last_seq,
    progress = case when :status::varchar = 'completed' then 1 else progress end
where id = :job_id
returning webhook, exists (
    select from jobs c where c.parent_job_id = :job_id and c.status in ('queued', 'running')
) as has_children""",
    EndedJob,
)
_REQUEUE = Statement(
    """
update jobs set status = 'queued', worker_id = null, attempt = :attempt, last_seq = :last_seq,
    progress = 0, attempt_started_at = null, available_at = :available_at,
    unanswered_leases = unanswered_leases + :unanswered
where id = :job_id"""
)
_COUNT_DROPPED = Statement(
    "update jobs set dropped_events = dropped_events + :count where id = :job_id"
)
_WITH_RESULT = Query(
    f"select {SUMMARY_COLUMNS}, j.result from jobs j where j.id = :job_id", JobWithResult
)


async def lock(on: Connection, job_id: str, *, user_id: str) -> LockedJob | None:
    """Lock and return a job of a user."""
    return await _LOCK.one(on, job_id=job_id, user_id=user_id)


async def lock_children(on: Connection, job_id: str) -> list[LockedJob]:
    """Lock and return the unfinished child jobs of a job."""
    return await _LOCK_CHILDREN.all(on, job_id=job_id)


async def request_cancel(on: Connection, job_id: str, now: datetime) -> None:
    """Store a request to cancel a job."""
    await _REQUEST_CANCEL.execute(on, job_id=job_id, now=now)


async def end(
    on: Connection,
    job_id: str,
    *,
    status: str,
    error: Mapping[str, Any] | None,
    result: Mapping[str, Any] | None,
    now: datetime,
    last_seq: int,
) -> EndedJob:
    """Store the end of a locked job and end its lease."""
    return await _END.only(
        on, job_id=job_id, status=status, error=error, result=result, now=now, last_seq=last_seq
    )


async def requeue(
    on: Connection,
    job_id: str,
    *,
    attempt: int,
    last_seq: int,
    available_at: datetime,
    was_unanswered: bool,
) -> None:
    """Put a locked, running job back into the queue."""
    await _REQUEUE.execute(
        on,
        job_id=job_id,
        attempt=attempt,
        last_seq=last_seq,
        available_at=available_at,
        unanswered=int(was_unanswered),
    )


async def count_dropped(on: Connection, job_id: str, *, count: int) -> None:
    """Count dropped events of a locked job."""
    await _COUNT_DROPPED.execute(on, job_id=job_id, count=count)


async def with_result(on: Connection, job_id: str) -> JobWithResult:
    """Return a job with its result."""
    return await _WITH_RESULT.only(on, job_id=job_id)
