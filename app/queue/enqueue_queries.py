"""Making jobs: one statement, which gives those to a worker that are for one that waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from app.database.engine import dumps
from app.events import log
from app.events.log import Batch, Draft
from app.events.sql import shared_sql, text_sql
from app.jobs.queries import On
from app.queue import claim_queries
from app.queue.waiting_claims import Needs

_QUEUED = log.draft({"type": "job_update", "status": "queued"})

_FIELDS = (
    ("id", "text"),
    ("user_id", "text"),
    ("workflow_id", "text"),
    ("workflow_version", "int"),
    ("job_type", "text"),
    ("params", "text"),
    ("graph", "text"),
    ("parent_job_id", "text"),
    ("depth", "int"),
    ("priority", "int"),
    ("needed", "text"),
    ("types", "text"),
    ("timeout_s", "float8"),
    ("max_attempts", "int"),
    ("webhook", "json"),
    ("traceparent", "text"),
    ("run_at", "timestamptz"),
    ("worker_id", "text"),
    ("token_hash", "bytea"),
)
_NAMES = ", ".join(name for name, _ in _FIELDS)
_LOST_AFTER_S, _USER_LIMIT, _TTL_S = (f"${len(_FIELDS) + number}" for number in (1, 2, 3))

_ONE = ", ".join(f"${number}::{kind} as {name}" for number, (name, kind) in enumerate(_FIELDS, 1))
_ONE = f"(select {_ONE}, 1 as place) n"
# Each in a query of its own, so that the planner does not see how many there are: it would find a
# plan for just that number better than its general one, and plan anew each time.
_MANY = ", ".join(f"(select ${number}::{kind}[])" for number, (_, kind) in enumerate(_FIELDS, 1))
_MANY = f"unnest({_MANY}) with ordinality as n({_NAMES}, place)"


def _with_new(source: str) -> str:
    """Return the SQL of the new jobs, from parameters."""
    return f"""
with clock as materialized (
    select clock_timestamp() as now
), new as materialized (
    select n.*, c.now,
        array(select json_array_elements_text(n.needed::json)) as required_capabilities,
        array(select json_array_elements_text(n.types::json)) as node_types
    from clock c, {source}
)"""


def _event(draft: Draft, seq: int, source: str) -> str:
    """Return the SQL of the row of a new job's event."""
    shared = shared_sql(attempt="1", time="now", traceparent="traceparent")
    kind, tail = f"'{draft.type}'", f"'{draft.tail}'"
    text = text_sql(kind=kind, job_id="id", seq=str(seq), shared=shared, tail=tail)
    return f"select id, {seq}, now, false, {text} from {source}"


_COLUMNS = """id, user_id, workflow_id, workflow_version, job_type, params, graph, parent_job_id,
    depth, priority, required_capabilities, node_types, timeout_s, max_attempts, webhook,
    traceparent, run_at, created_at, available_at"""
_VALUES = """id, user_id, workflow_id, workflow_version, job_type, params::json, graph::json,
    parent_job_id, depth, priority, required_capabilities, node_types, timeout_s, max_attempts,
    webhook, traceparent, run_at, now, greatest(now, run_at)"""
_INSERT_EVENT = "insert into job_events (job_id, seq, time, is_end, body)"
_CAN_RUN = f"""
exists (
    select from workers w
    where (w.is_fleet or w.user_id = n.user_id) and not w.is_draining
        and w.last_seen_at >= now - {_LOST_AFTER_S} * interval '1 s'
        and w.capabilities @> n.required_capabilities
        and (w.node_types is null or w.node_types @> n.node_types)
)"""


def _running(user_id: str) -> str:
    """Return the SQL of how many jobs of a user run, up to the limit."""
    return f"""(
    select count(*) from (
        select from jobs r where r.user_id = {user_id} and r.status = 'running' limit {_USER_LIMIT}
    ) running
)"""


def _queue(source: str) -> str:
    """Return the statement that puts new jobs into the queue."""
    return f"""{_with_new(source)}, job as (
    insert into jobs ({_COLUMNS}, status, last_seq) select {_VALUES}, 'queued', 1 from new
), event as (
    {_INSERT_EVENT} {_event(_QUEUED, 1, "new")}
)
select now, false as is_granted, null::timestamptz as expires_at,
    {_running("n.user_id")} < {_USER_LIMIT} as has_room, {_CAN_RUN} as can_run
from new n order by place"""


def _give(source: str) -> str:
    """Return the statement that gives new jobs to the workers that they are offered to.

    As a claim would do, unless jobs of the same user wait before it or he has too many running.
    """
    return f"""{_with_new(source)}, waiting as materialized (
    select id from workers
    where id in (select worker_id from new) and not is_draining
    -- One that is being removed just now is locked; its parent's lock may be what that waits for.
    for key share skip locked
), owners as materialized (
    select u.id,
        -- With a limit, since `exists` may be answered from a list of all users with a queue.
        u.deleted_at is null and (
            select true from jobs q where q.user_id = u.id and q.status = 'queued' limit 1
        ) is null as is_served,
        {_running("u.id")} as running
    from users u where u.id in (select user_id from new)
), placed as materialized (
    select n.*, coalesce(o.running, 0) < {_USER_LIMIT} as has_room,
        w.id is not null and coalesce(o.is_served, false) and o.running + count(w.id) over (
            partition by n.user_id order by n.place
        ) <= {_USER_LIMIT} as is_granted
    from new n
    left join owners o on o.id = n.user_id left join waiting w on w.id = n.worker_id
), job as (
    insert into jobs ({_COLUMNS}, status, last_seq, worker_id, started_at, attempt_started_at)
    select {_VALUES}, case when is_granted then 'running' else 'queued' end,
        case when is_granted then 2 else 1 end, case when is_granted then worker_id end,
        case when is_granted then now end, case when is_granted then now end
    from placed
), event as (
    {_INSERT_EVENT} {_event(_QUEUED, 1, "placed")}
    union all {_event(claim_queries.RUNNING, 2, "placed")} where is_granted
), lease as (
    insert into job_leases (token_hash, job_id, attempt, worker_id, granted_at, expires_at)
    select token_hash, id, 1, worker_id, now, now + {_TTL_S} * interval '1 s'
    from placed where is_granted
)
select now, is_granted, now + {_TTL_S} * interval '1 s' as expires_at, has_room,
    is_granted or {_CAN_RUN} as can_run
from placed n order by place"""


_QUEUE_ONE, _QUEUE_MANY = _queue(_ONE), _queue(_MANY)
_GIVE_ONE, _GIVE_MANY = _give(_ONE), _give(_MANY)


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a new job runs, and how; `params` and `graph` are JSON."""

    workflow_id: str | None
    workflow_version: int | None
    job_type: str
    params: str
    graph: str
    priority: int
    required_capabilities: Sequence[str]
    node_types: Sequence[str]
    timeout_s: float | None
    max_attempts: int
    webhook: dict[str, Any] | None
    run_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A job that was made, now or by an earlier request with the same Idempotency-Key.

    `row` is how it stands, where it was made now and nothing keeps it waiting.
    """

    job_id: str
    is_replay: bool
    row: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose a new job is, and where it comes from."""

    job_id: str
    user_id: str
    parent_id: str | None
    depth: int
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Offer:
    """A job that is to be made, and who may have it at once: a worker that waits, with a token."""

    origin: Origin
    new: NewJob
    worker_id: str | None = None
    token_hash: bytes | None = None


async def insert(
    on: On, offers: Sequence[Offer], *, lost_after_s: float, user_limit: int, ttl_s: float
) -> list[asyncpg.Record]:
    """Store new jobs, each with its first event, or the first two and the lease of a worker.

    Args:
        on: Where it runs.
        offers: The jobs.
        lost_after_s: How long after its last word a worker still counts.
        user_limit: How many jobs of one user may run.
        ttl_s: How long leases last.

    Returns:
        For each the moment, whether it `is_granted` and until when, whether some worker can run it
        and whether its user has room for it.
    """
    rows = [_values(offer) for offer in offers]
    limits: tuple[float, ...]
    one, many, limits = _QUEUE_ONE, _QUEUE_MANY, (lost_after_s, user_limit)
    if any(offer.worker_id is not None for offer in offers):
        one, many, limits = _GIVE_ONE, _GIVE_MANY, (lost_after_s, user_limit, ttl_s)
    stored: list[asyncpg.Record]
    if len(rows) == 1:  # most often, and at half the cost
        stored = await on.fetch(one, *rows[0], *limits)
    else:
        stored = await on.fetch(many, *zip(*rows, strict=True), *limits)
    return stored


def _values(offer: Offer) -> tuple[Any, ...]:
    """Return the fields of a new job, in the order of `_FIELDS`."""
    origin, new = offer.origin, offer.new
    return (
        origin.job_id,
        origin.user_id,
        new.workflow_id,
        new.workflow_version,
        new.job_type,
        new.params,
        new.graph,
        origin.parent_id,
        origin.depth,
        new.priority,
        dumps(new.required_capabilities),  # as arrays, those of many would need one length
        dumps(new.node_types),
        new.timeout_s,
        new.max_attempts,
        new.webhook,
        origin.traceparent,
        new.run_at,
        offer.worker_id,
        offer.token_hash,
    )


def first_events(origin: Origin, row: asyncpg.Record) -> Batch:
    """Return a new job's first events."""
    return Batch(
        origin.job_id,
        origin.user_id,
        [_QUEUED, claim_queries.RUNNING] if row["is_granted"] else [_QUEUED],
        after=0,
        attempt=1,
        time=row["now"],
        traceparent=origin.traceparent,
    )


def needs(origin: Origin, new: NewJob) -> Needs:
    """Return what a worker needs to run it."""
    return Needs(origin.user_id, new.required_capabilities, new.node_types)


def granted_row(offer: Offer, row: asyncpg.Record) -> dict[str, Any]:
    """Return a new job as the claim of its worker is answered with it."""
    return {
        **row_of(offer.origin, offer.new, row["now"]),
        "status": "running",
        "worker_id": offer.worker_id,
        "started_at": row["now"],
        "expires_at": row["expires_at"],
        "traceparent": offer.origin.traceparent,
    }


def row_of(origin: Origin, new: NewJob, now: datetime) -> dict[str, Any]:
    """Return how a new job stands at first."""
    return {
        "id": origin.job_id,
        "user_id": origin.user_id,
        "workflow_id": new.workflow_id,
        "workflow_version": new.workflow_version,
        "job_type": new.job_type,
        "status": "queued",
        "params": new.params,
        "graph": new.graph,
        "parent_job_id": origin.parent_id,
        "result": None,
        "error": None,
        "progress": 0.0,
        "attempt": 1,
        "max_attempts": new.max_attempts,
        "priority": new.priority,
        "required_capabilities": new.required_capabilities,
        "node_types": new.node_types,
        "timeout_s": new.timeout_s,
        "worker_id": None,
        "cancel_requested_at": None,
        "run_at": new.run_at,
        "created_at": now,
        "started_at": None,
        "finished_at": None,
        "cost": None,
    }
