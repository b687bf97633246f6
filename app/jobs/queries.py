"""Statements on the jobs of a user."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from app.database.id_sql import first_id_at
from app.database.page_query import Listed, PageQuery
from app.database.statement import Connection, Executor, Query, Scalar, Statement
from app.events.job_queries import JOB_COLUMNS, SUMMARY_COLUMNS, JobRecord, JobState, JobSummary
from app.events.lanes_sql import in_lane, lanes_of
from app.jobs.filters import JobFilters
from app.queue.new_job import JobSpec


class JobSource(NamedTuple):
    """A job to retry: its status, and the specification of the new job."""

    status: str
    spec: JobSpec


class ParentJob(NamedTuple):
    """A job that starts a child."""

    depth: int
    status: str
    cancel_requested_at: datetime | None


_GET = Query(
    f"select {JOB_COLUMNS} from jobs j where j.id = :job_id and j.user_id = :user_id", JobRecord
)
_STATE = Query(
    "select status, last_seq from jobs where id = :job_id and user_id = :user_id", JobState
)
_SOURCE = Query(
    """
select status, workflow_id, workflow_version, job_type, name, metadata::text as metadata,
    params::text as params, graph::text as graph, priority, required_capabilities, node_types,
    timeout_s, max_attempts, webhook, null::timestamptz as run_at, warnings
from jobs where id = :job_id and user_id = :user_id""",
    JobSource,
)
_UNFINISHED_IDS = Scalar(
    f"""
select j.id from {lanes_of(":user_id")} cross join lateral (
    select j.id from jobs j where {in_lane(":user_id")}
) j
union all
select id from jobs where user_id = :user_id and status = 'running'
order by id""",
    str,
)
_UNFINISHED = Query(
    f"""
select {SUMMARY_COLUMNS} from jobs j
where j.id = any((select :job_ids::text[])::text[]) and j.status in ('queued', 'running')
order by j.id""",
    JobSummary,
)
_COUNT_RUNNING = Scalar(
    "select count(*) from jobs where user_id = :user_id and status = 'running'", int
)
_COUNT_QUEUED = Scalar(
    f"""
select count(*) from (
    select from {lanes_of(":user_id")} cross join lateral (
        select from jobs j where {in_lane(":user_id")} limit :limit
    ) queued
    limit :limit
) counted""",
    int,
)
_LOCK_PARENT = Query(
    "select depth, status, cancel_requested_at from jobs where id = :job_id for share", ParentJob
)
_DELETE = Statement("delete from jobs where id = :job_id")
# Ordered by id, so parents before children: the lock order of all transactions on jobs.
_LOCK_OF_USER = Scalar(
    "select id from jobs where user_id = :user_id order by id limit :limit for update", str
)
# Jobs that were created before the limit, by the clock of a replica, have ended and been deleted,
# except for a few.
_EXPIRED = f"""
from jobs where id < {first_id_at("now() - :keep::interval")}
    and finished_at < now() - :keep::interval"""
_COUNT_EXPIRED = Scalar(f"select count(*) {_EXPIRED}", int)
_LOCK_EXPIRED = Scalar(f"select id {_EXPIRED} order by id limit :limit for update skip locked", str)
_END_LEASES = Statement(
    """
update job_leases set ended_at = clock_timestamp()
where job_id = any(:job_ids) and ended_at is null"""
)
_DELETE_ALL = Statement("delete from jobs where id = any(:job_ids)")


_FILTERS = {
    "after": "j.id < :after",
    "name": "j.name = :name",
    "parent_job_id": "j.parent_job_id = :parent_job_id",
    "rerun_of": "j.rerun_of = :rerun_of",
    "workflow_id": "j.workflow_id = :workflow_id",
}
_BYTES = """
octet_length(j.metadata::text) + coalesce(octet_length(j.error::text), 0)
+ octet_length(array_to_string(j.required_capabilities, ','))"""


@lru_cache(maxsize=256)
def _page(filters: frozenset[str], status: str | None) -> PageQuery[JobSummary]:
    """Return the statement of a page.

    The status is part of the text: with a parameter, the partial indexes would not be used.
    """
    conditions = ["j.user_id = :user_id", *(_FILTERS[name] for name in sorted(filters))]
    if status is not None:
        conditions.append(f"j.status = '{status}'")
    return PageQuery(
        JobSummary,
        columns=SUMMARY_COLUMNS,
        table="jobs j",
        key="j.id",
        size=_BYTES,
        where=" and ".join(conditions),
    )


async def get(on: Executor, job_id: str, *, user_id: str) -> JobRecord | None:
    """Return a job of a user."""
    return await _GET.one(on, job_id=job_id, user_id=user_id)


async def state(on: Executor, job_id: str, *, user_id: str) -> JobState | None:
    """Return the state of a job of a user."""
    return await _STATE.one(on, job_id=job_id, user_id=user_id)


async def source(on: Executor, job_id: str, *, user_id: str) -> JobSource | None:
    """Return the status and the specification of a job of a user, to retry it."""
    return await _SOURCE.one(on, job_id=job_id, user_id=user_id)


async def page(
    on: Executor,
    *,
    user_id: str,
    filters: JobFilters,
    after: str | None,
    size: int,
) -> Listed[JobSummary]:
    """Return a user's jobs, newest first."""
    wanted = {**filters._asdict(), "after": after}
    status = wanted.pop("status")
    given = {name: value for name, value in wanted.items() if value is not None}
    statement = _page(frozenset(given), status)
    return await statement.read(on, user_id=user_id, **given, size=size)


async def count_queued(on: Executor, user_id: str, limit: int) -> int:
    """Return the number of queued jobs of a user, at most `limit`."""
    return await _COUNT_QUEUED.only(on, user_id=user_id, limit=limit)


async def unfinished_ids(on: Executor, *, user_id: str) -> list[str]:
    """Return the ids of a user's jobs that have not ended, oldest first."""
    return await _UNFINISHED_IDS.values(on, user_id=user_id)


async def unfinished(on: Executor, job_ids: Sequence[str]) -> list[JobSummary]:
    """Return those of the jobs that have not ended, oldest first."""
    return await _UNFINISHED.all(on, job_ids=job_ids)


async def count_running(on: Executor, *, user_id: str) -> int:
    """Return how many jobs of a user are running."""
    return await _COUNT_RUNNING.only(on, user_id=user_id)


async def count_expired(on: Executor, *, keep: timedelta) -> int:
    """Return the number of jobs that ended longer ago than `keep`."""
    return await _COUNT_EXPIRED.only(on, keep=keep)


async def lock_expired(on: Connection, *, keep: timedelta, limit: int) -> list[str]:
    """Lock some of the jobs that ended longer ago than `keep`; return their ids."""
    return await _LOCK_EXPIRED.values(on, keep=keep, limit=limit)


async def lock_parent(on: Connection, job_id: str) -> ParentJob | None:
    """Return a job, locked so that it cannot end before the transaction ends."""
    return await _LOCK_PARENT.one(on, job_id=job_id)


async def delete(on: Connection, job_id: str) -> None:
    """Delete a job."""
    await _DELETE.execute(on, job_id=job_id)


async def lock_of_user(on: Connection, user_id: str, *, limit: int) -> list[str]:
    """Lock some jobs of a user; return their ids."""
    return await _LOCK_OF_USER.values(on, user_id=user_id, limit=limit)


async def delete_all(on: Connection, job_ids: Sequence[str]) -> None:
    """Delete jobs and end their leases; ended leases are purged later."""
    await _END_LEASES.execute(on, job_ids=job_ids)
    await _DELETE_ALL.execute(on, job_ids=job_ids)
