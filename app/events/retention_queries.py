"""Statements for the retention of events."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from app.database.statement import Connection, Executor, Scalar, Statement
from app.events.partition_queries import partition_name

COPY_TIMEOUT_S = 900

_LIMIT = Scalar("select clock_timestamp() - :keep::interval", datetime)
_OF_ENDED_JOBS = """
from job_events_default e where e.time < :before and not exists (
    select from jobs j where j.id = e.job_id and j.status in ('queued', 'running')
)"""
_COUNT = Scalar(f"select count(*) {_OF_ENDED_JOBS}", int)
_DELETE = Statement(
    f"""
with old as (
    select job_id, seq, time {_OF_ENDED_JOBS} order by time, job_id, seq limit :limit
)
delete from job_events_default d using old
where d.job_id = old.job_id and d.seq = old.seq and d.time = old.time"""
)
_RESTORE = Statement("insert into job_events select * from kept_events")


async def limit_of(on: Executor, keep: timedelta) -> datetime:
    """Return the current time minus `keep`, by PostgreSQL's clock."""
    return await _LIMIT.only(on, keep=keep)


async def count_in_default(on: Executor, before: datetime) -> int:
    """Return the number of events of ended jobs before a time in the default partition."""
    return await _COUNT.only(on, before=before)


async def delete_from_default(on: Executor, before: datetime, *, limit: int) -> int:
    """Delete events of ended jobs from the default partition, oldest first; return the number."""
    return await _DELETE.execute(on, before=before, limit=limit)


async def copy_unfinished(on: Connection, day: date) -> None:
    """Copy a day's events of unfinished jobs into a temporary table of the transaction."""
    await Statement(
        f"""
create temporary table kept_events on commit drop as
select e.* from {partition_name(day)} e join jobs j on j.id = e.job_id
where j.status in ('queued', 'running')"""
    ).execute(on, timeout=COPY_TIMEOUT_S)


async def restore_unfinished(on: Connection) -> None:
    """Insert the copied events, which are then stored in the default partition."""
    await _RESTORE.execute(on, timeout=COPY_TIMEOUT_S)
