"""Statements that insert new jobs and lease them to waiting workers where possible."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from app.database.engine import dumps
from app.database.statement import Executor, Query
from app.events.envelope import EncodedEvent
from app.events.lanes_sql import in_lane, lanes_of
from app.queue.new_job import OfferedJob
from app.queue.status_events import QUEUED, RUNNING, event_text_sql


class InsertedJob(NamedTuple):
    """An inserted job.

    `expires_at`: the end of its lease if `is_leased`. `can_run`: a worker can run it. `has_room`:
    the user is below the limit of running jobs.
    """

    now: datetime
    is_leased: bool
    expires_at: datetime | None
    has_room: bool
    can_run: bool


_FIELD_TYPES = {
    "id": "text",
    "user_id": "text",
    "workflow_id": "text",
    "workflow_version": "int",
    "job_type": "text",
    "name": "text",
    "metadata": "text",
    "params": "text",
    "graph": "text",
    "parent_job_id": "text",
    "depth": "int",
    "priority": "int",
    "capabilities_json": "text",
    "node_types_json": "text",
    "timeout_s": "float8",
    "max_attempts": "int",
    "webhook": "json",
    "warnings": "text",
    "traceparent": "text",
    "run_at": "timestamptz",
    "worker_id": "text",
    "token_hash": "bytea",
}
_ONE = ", ".join(f":{name}::{kind} as {name}" for name, kind in _FIELD_TYPES.items())
_ONE = f"(select {_ONE}, 1 as place) n"
# Each array in its own query, which hides their length from the planner: otherwise it would prefer
# a custom plan for that length over the generic plan, and plan each execution.
_MANY = ", ".join(f"(select :{name}::{kind}[])" for name, kind in _FIELD_TYPES.items())
_MANY = f"unnest({_MANY}) with ordinality as n({', '.join(_FIELD_TYPES)}, place)"


def _with_new(source: str) -> str:
    """Return the SQL of the new jobs, from parameters."""
    return f"""
with clock as materialized (
    select clock_timestamp() as now
), new as materialized (
    select n.*, c.now,
        array(select json_array_elements_text(n.capabilities_json::json)) as required_capabilities,
        array(select json_array_elements_text(n.node_types_json::json)) as node_types
    from clock c, {source}
)"""


def _event(event: EncodedEvent, seq: int, source: str) -> str:
    """Return the SQL of the row of a new job's event."""
    text = event_text_sql(
        event, job_id="id", seq=str(seq), attempt="1", time="now", traceparent="traceparent"
    )
    return f"select id, {seq}, now, false, {text} from {source}"


_COLUMNS = """id, user_id, workflow_id, workflow_version, job_type, name, metadata, params, graph,
    parent_job_id, depth, priority, required_capabilities, node_types, timeout_s, max_attempts,
    webhook, warnings, traceparent, run_at, created_at, available_at"""
_VALUES = """id, user_id, workflow_id, workflow_version, job_type, name, metadata::json,
    params::json, graph::json, parent_job_id, depth, priority, required_capabilities, node_types,
    timeout_s, max_attempts, webhook, warnings::json, traceparent, run_at, now,
    greatest(now, run_at)"""
_INSERT_EVENT = "insert into job_events (job_id, seq, time, is_end, body)"
_CAN_RUN = """
exists (
    select from workers w
    where (w.is_fleet or w.user_id = n.user_id) and not w.is_draining
        and w.last_seen_at >= now - :lost_after_s * interval '1 s'
        and w.capabilities @> n.required_capabilities
        and (w.node_types is null or w.node_types @> n.node_types)
)"""


def _running(user_id: str) -> str:
    """Return the SQL of the number of a user's running jobs, 0 if it is far below the limit."""
    return f"""case when :is_near_limit then (
    select count(*) from jobs r where r.user_id = {user_id} and r.status = 'running'
) else 0 end"""


def _insert(source: str) -> Query[InsertedJob]:
    """Return the statement that enqueues new jobs."""
    return Query(
        f"""{_with_new(source)}, job as (
    insert into jobs ({_COLUMNS}, status, last_seq) select {_VALUES}, 'queued', 1 from new
), event as (
    {_INSERT_EVENT} {_event(QUEUED, 1, "new")}
)
select now, false as is_leased, null::timestamptz as expires_at,
    {_running("n.user_id")} < :user_limit as has_room, {_CAN_RUN} as can_run
from new n order by place""",
        InsertedJob,
    )


def _insert_and_lease(source: str) -> Query[InsertedJob]:
    """Return the statement that also leases new jobs to the workers they are offered to.

    A job is only enqueued if the user has other queued jobs, which come first, or has reached the
    limit of running jobs.
    """
    return Query(
        f"""{_with_new(source)}, waiting as materialized (
    select id from workers
    where id in (select worker_id from new) and not is_draining
    -- A worker that is being removed is locked: waiting for it could deadlock, since that
    -- transaction may wait for the lock of the parent.
    for key share skip locked
), owners as materialized (
    select u.id,
        u.deleted_at is null and (
            select true from {lanes_of("u.id")} cross join lateral (
                select from jobs j where {in_lane("u.id")} limit 1
            ) queued
            limit 1
        ) is null as is_served,
        {_running("u.id")} as running
    from users u where u.id in (select user_id from new)
), placed as materialized (
    select n.*, coalesce(o.running, 0) < :user_limit as has_room,
        w.id is not null and coalesce(o.is_served, false) and o.running + count(w.id) over (
            partition by n.user_id order by n.place
        ) <= :user_limit as is_leased
    from new n
    left join owners o on o.id = n.user_id left join waiting w on w.id = n.worker_id
), job as (
    insert into jobs ({_COLUMNS}, status, last_seq, worker_id, started_at, attempt_started_at)
    select {_VALUES}, case when is_leased then 'running' else 'queued' end,
        case when is_leased then 2 else 1 end, case when is_leased then worker_id end,
        case when is_leased then now end, case when is_leased then now end
    from placed
), event as (
    {_INSERT_EVENT} {_event(QUEUED, 1, "placed")}
    union all {_event(RUNNING, 2, "placed")} where is_leased
), lease as (
    insert into job_leases (token_hash, job_id, attempt, worker_id, granted_at, expires_at)
    select token_hash, id, 1, worker_id, now, now + :ttl_s * interval '1 s'
    from placed where is_leased
)
select now, is_leased, now + :ttl_s * interval '1 s' as expires_at, has_room,
    is_leased or {_CAN_RUN} as can_run
from placed n order by place""",
        InsertedJob,
    )


_INSERT_ONE, _INSERT_MANY = _insert(_ONE), _insert(_MANY)
_LEASE_ONE, _LEASE_MANY = _insert_and_lease(_ONE), _insert_and_lease(_MANY)


async def insert_jobs(
    on: Executor,
    offered: Sequence[OfferedJob],
    *,
    lost_after_s: float,
    user_limit: int,
    is_near_limit: bool,
    ttl_s: float,
) -> list[InsertedJob]:
    """Insert new jobs, each with its first event, or with the first two and a lease.

    Args:
        on: Executes the statement.
        offered: The jobs.
        lost_after_s: The time after its last heartbeat at which a worker is lost.
        user_limit: The maximum number of running jobs of one user.
        is_near_limit: A user may have that many; otherwise running jobs are not counted.
        ttl_s: The duration of leases.
    """
    one, many = _INSERT_ONE, _INSERT_MANY
    limits: dict[str, Any] = {
        "lost_after_s": lost_after_s,
        "user_limit": user_limit,
        "is_near_limit": is_near_limit,
    }
    if any(offer.worker_id is not None for offer in offered):
        one, many = _LEASE_ONE, _LEASE_MANY
        limits["ttl_s"] = ttl_s
    rows = [_values(offer) for offer in offered]
    if len(rows) == 1:  # the usual case, and at half the cost
        return await one.all(on, **limits, **dict(zip(_FIELD_TYPES, rows[0], strict=True)))
    columns = zip(*rows, strict=True)
    return await many.all(on, **limits, **dict(zip(_FIELD_TYPES, columns, strict=True)))


def _values(offer: OfferedJob) -> tuple[Any, ...]:
    """Return the fields of a new job, in the order of `_FIELD_TYPES`."""
    job, spec = offer.job, offer.job.spec
    return (
        job.id,
        job.user_id,
        spec.workflow_id,
        spec.workflow_version,
        spec.job_type,
        spec.name,
        spec.metadata,
        spec.params,
        spec.graph,
        job.parent_job_id,
        job.depth,
        spec.priority,
        dumps(spec.required_capabilities),  # JSON: SQL arrays of arrays must have equal lengths
        dumps(spec.node_types),
        spec.timeout_s,
        spec.max_attempts,
        spec.webhook,
        None if spec.warnings is None else dumps(spec.warnings),  # a list, like the two arrays
        job.traceparent,
        spec.run_at,
        offer.worker_id,
        offer.token_hash,
    )
