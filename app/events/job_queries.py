"""Records of jobs, and statements that read jobs and the ends of their logs.

The columns of a record are `j.<field>` of the table `jobs j`. Graphs, params, results and metadata
are read as JSON text, since they are usually passed on without parsing.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from app.database.statement import Executor, Query
from app.events.lanes_sql import in_lane, lanes_of
from processing_context.wire.jobs import ENDED


class JobSummary(NamedTuple):
    """A job without its graph, params and result; `metadata` is JSON text."""

    id: str
    user_id: str
    workflow_id: str | None
    job_type: str
    name: str | None
    metadata: str
    status: str
    workflow_version: int | None
    parent_job_id: str | None
    rerun_of: str | None
    error: dict[str, Any] | None
    progress: float
    attempt: int
    max_attempts: int
    priority: int
    required_capabilities: list[str]
    node_types: list[str]
    timeout_s: float | None
    worker_id: str | None
    cancel_requested_at: datetime | None
    run_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cost: float | None
    warnings: list[dict[str, Any]] | None
    last_seq: int


class JobEnd(NamedTuple):
    """Time at which a job ended; None for an unfinished job."""

    id: str
    finished_at: datetime | None


class JobRecord(NamedTuple):
    """A job; `metadata`, `params`, `graph` and `result` are JSON text."""

    id: str
    user_id: str
    workflow_id: str | None
    job_type: str
    name: str | None
    metadata: str
    status: str
    workflow_version: int | None
    parent_job_id: str | None
    rerun_of: str | None
    error: dict[str, Any] | None
    progress: float
    attempt: int
    max_attempts: int
    priority: int
    required_capabilities: list[str]
    node_types: list[str]
    timeout_s: float | None
    worker_id: str | None
    cancel_requested_at: datetime | None
    run_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cost: float | None
    warnings: list[dict[str, Any]] | None
    last_seq: int
    traceparent: str | None
    params: str
    graph: str
    result: str | None


class JobState(NamedTuple):
    """The status of a job and the last `seq` of its log."""

    status: str
    last_seq: int

    @property
    def has_ended(self) -> bool:
        """True once the job has ended."""
        return self.status in ENDED


class LogPosition(NamedTuple):
    """The end of the log of a job."""

    job_id: str
    user_id: str
    last_seq: int


SUMMARY_COLUMNS = ", ".join(
    "j.metadata::text as metadata" if name == "metadata" else f"j.{name}"
    for name in JobSummary._fields
)
JOB_COLUMNS = f"""{SUMMARY_COLUMNS}, j.traceparent,
    j.params::text as params, j.graph::text as graph, j.result::text as result"""

_GET = Query(f"select {JOB_COLUMNS} from jobs j where j.id = :job_id", JobRecord)
_ENDS = Query("select id, finished_at from jobs where id = any(:job_ids)", JobEnd)
_POSITIONS = Query(
    "select id as job_id, user_id, last_seq from jobs where id = any(:job_ids)", LogPosition
)
_POSITIONS_OF_USERS = Query(
    f"""
select j.id as job_id, j.user_id, j.last_seq
from unnest(:user_ids::text[]) as u(id) cross join lateral {lanes_of("u.id")}
cross join lateral (select * from jobs j where {in_lane("u.id")}) j
union all
select id, user_id, last_seq from jobs where user_id = any(:user_ids) and status = 'running'
union all
select id, user_id, last_seq from jobs
where user_id = any(:user_ids) and finished_at > clock_timestamp() - :look_back::interval""",
    LogPosition,
)


async def get(on: Executor, job_id: str) -> JobRecord | None:
    """Return a job of any user."""
    return await _GET.one(on, job_id=job_id)


async def ends(on: Executor, job_ids: Collection[str]) -> list[JobEnd]:
    """Return the ends of jobs, without jobs that do not exist."""
    return await _ENDS.all(on, job_ids=list(job_ids))


async def log_positions(on: Executor, job_ids: Collection[str]) -> list[LogPosition]:
    """Return the ends of the logs of jobs, without jobs that do not exist."""
    return await _POSITIONS.all(on, job_ids=list(job_ids))


async def log_positions_of_users(
    on: Executor, user_ids: Collection[str], look_back: timedelta
) -> list[LogPosition]:
    """Return the log ends of users' jobs that have not ended or ended within `look_back`."""
    return await _POSITIONS_OF_USERS.all(on, user_ids=list(user_ids), look_back=look_back)
