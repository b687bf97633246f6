"""Statements on the states of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from app.database.page_query import Listed, PageQuery
from app.database.statement import Executor, Query, Statement


class NodeRecord(NamedTuple):
    """The latest state of a node."""

    node_id: str
    node_name: str | None
    node_type: str | None
    status: str
    error: str | None
    progress: float | None
    total: float | None
    result: Any
    seq: int
    attempt: int
    updated_at: datetime


class NodeOfJob(NamedTuple):
    """The latest state of a node of one of several jobs, without its result."""

    job_id: str
    node: NodeRecord


COLUMN_TYPES = {
    "node_id": "text",
    "node_name": "text",
    "node_type": "text",
    "status": "text",
    "error": "json",
    "progress": "float8",
    "total": "float8",
    "result": "json",
    "seq": "int",
}
"""The columns that `upsert_sql` takes from parameters; `seq` counts within the batch."""

NODE_PARAMETERS = {column: f"nodes_{column}" for column in COLUMN_TYPES}
"""The names of the parameters that hold the arrays of these columns."""

PLACE_PARAMETER = "nodes_place"
"""The name of the parameter that holds the places of the batches that nodes are in."""

_STATE = "node_id, node_name, node_type, coalesce(status, 'running') as status, error, progress"
_PAGE = PageQuery(
    NodeRecord,
    columns=f"{_STATE}, total, result, seq, attempt, updated_at",
    table="job_nodes",
    key="node_id",
    size="coalesce(octet_length(result::text), 0) + coalesce(octet_length(error::text), 0)",
    where="""
job_id = :job_id and node_id >= coalesce(:after, '') and node_id is distinct from :after""",
    scope="job_id = :job_id",
    order="asc",
)
_OF_JOBS = Query(
    f"""
select job_id, {_STATE}, total, null::json as result, seq, attempt, updated_at
from job_nodes where job_id = any(:job_ids) order by seq, node_id""",
    NodeOfJob,
)
_DELETE = Statement("delete from job_nodes where job_id = :job_id")
_DELETE_ALL = Statement("delete from job_nodes where job_id = any(:job_ids)")


def nodes_sql() -> str:
    """Return the rows of the upsert from parameters, as `n(place, …)`."""
    arrays = "".join(
        f", :{NODE_PARAMETERS[column]}::{kind}[]" for column, kind in COLUMN_TYPES.items()
    )
    return f"unnest(:{PLACE_PARAMETER}::int[]{arrays}) as n(place, {', '.join(COLUMN_TYPES)})"


def upsert_sql(*, job_id: str, attempt: str, now: str, seq: str, source: str) -> str:
    """Return the statement that stores the states of nodes.

    A row with a status replaces status, error and result of the node; one without a status only
    updates its progress.

    Args:
        job_id: The job; like the other arguments an SQL expression.
        attempt: The attempt of the job.
        now: The time of the events.
        seq: The `seq` of the event that describes the state.
        source: The FROM clause, which contains `nodes_sql`.
    """
    return f"""
insert into job_nodes (job_id, node_id, node_name, node_type, status, error, progress, total,
    result, seq,
    attempt, updated_at)
select {job_id}, n.node_id, n.node_name, n.node_type, n.status, n.error, n.progress, n.total,
    n.result, {seq}, {attempt}, {now}
from {source}
on conflict (job_id, node_id) do update set
    node_name = coalesce(excluded.node_name, job_nodes.node_name),
    node_type = coalesce(excluded.node_type, job_nodes.node_type),
    status = coalesce(excluded.status, job_nodes.status),
    error = case when excluded.status is null then job_nodes.error else excluded.error end,
    result = case when excluded.status is null then job_nodes.result else excluded.result end,
    progress = coalesce(excluded.progress, job_nodes.progress),
    total = coalesce(excluded.total, job_nodes.total),
    seq = excluded.seq, attempt = excluded.attempt, updated_at = excluded.updated_at"""


async def page(on: Executor, job_id: str, *, after: str | None, size: int) -> Listed[NodeRecord]:
    """Return the nodes of a job, in the order of their ids."""
    return await _PAGE.read(on, job_id=job_id, after=after, size=size)


async def of_jobs(on: Executor, job_ids: Sequence[str]) -> list[NodeOfJob]:
    """Return the nodes of several jobs, in the order of their last events, without results."""
    return await _OF_JOBS.all(on, job_ids=list(job_ids))


async def delete(on: Executor, job_id: str) -> None:
    """Delete the node states of a job."""
    await _DELETE.execute(on, job_id=job_id)


async def delete_all(on: Executor, job_ids: Sequence[str]) -> None:
    """Delete the node states of jobs."""
    await _DELETE_ALL.execute(on, job_ids=job_ids)
