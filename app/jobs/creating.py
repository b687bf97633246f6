"""Making jobs: one statement, which gives those to a worker that are for one that waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from app.core.db import dumps
from app.events import log
from app.events.log import Batch, Draft
from app.jobs import granting
from app.jobs.bell import Needs
from app.jobs.placing import shared_sql, tail_of, text_sql
from app.jobs.queries import On

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
# Each in a query of its own, so that the planner does not see how many there are: it would find a
# plan for just that number better than its general one, and plan anew each time.
_COLUMNS = ", ".join(f"(select ${number}::{kind}[])" for number, (_, kind) in enumerate(_FIELDS, 1))
_LOST_AFTER_S, _USER_LIMIT, _TTL_S = (f"${len(_FIELDS) + number}" for number in (1, 2, 3))


def _event(draft: Draft, seq: int) -> str:
    """Return the SQL of the row of a new job's event."""
    shared = shared_sql(attempt="1", time="now", traceparent="traceparent")
    kind, tail = f"'{draft.type}'", f"'{tail_of(draft)}'"
    text = text_sql(kind=kind, job_id="id", seq=str(seq), shared=shared, tail=tail)
    return f"select id, {seq}, now, false, {text} from placed"


# A job that is offered to a worker that waits is given to it at once, as a claim would have done,
# unless jobs of the same user wait before it or he has too many running.
_CREATE = f"""
with clock as materialized (
    select clock_timestamp() as now
), new as materialized (
    select n.*, c.now,
        array(select json_array_elements_text(n.needed::json)) as required_capabilities,
        array(select json_array_elements_text(n.types::json)) as node_types
    from clock c, unnest({_COLUMNS}) with ordinality as n({_NAMES}, place)
), waiting as materialized (
    select id from workers
    where id in (select worker_id from new) and not is_draining for key share
), owners as materialized (
    select u.id,
        u.deleted_at is null and not exists (
            select from jobs q where q.user_id = u.id and q.status = 'queued'
        ) as is_served,
        (
            select count(*) from (
                select from jobs r where r.user_id = u.id and r.status = 'running'
                limit {_USER_LIMIT}
            ) running
        ) as running
    from users u where u.id in (select user_id from new)
), placed as materialized (
    select n.*, coalesce(o.running, 0) < {_USER_LIMIT} as has_room,
        w.id is not null and coalesce(o.is_served, false) and o.running + count(w.id) over (
            partition by n.user_id order by n.place
        ) <= {_USER_LIMIT} as is_granted
    from new n
    left join owners o on o.id = n.user_id left join waiting w on w.id = n.worker_id
), job as (
    insert into jobs (id, user_id, workflow_id, workflow_version, job_type, status, params, graph,
        parent_job_id, depth, priority, required_capabilities, node_types, timeout_s, max_attempts,
        webhook, traceparent, run_at, created_at, available_at, last_seq, worker_id, started_at,
        attempt_started_at)
    select id, user_id, workflow_id, workflow_version, job_type,
        case when is_granted then 'running' else 'queued' end, params::json, graph::json,
        parent_job_id, depth, priority, required_capabilities, node_types, timeout_s, max_attempts,
        webhook, traceparent, run_at, now, greatest(now, run_at),
        case when is_granted then 2 else 1 end, case when is_granted then worker_id end,
        case when is_granted then now end, case when is_granted then now end
    from placed
), event as (
    insert into job_events (job_id, seq, time, is_end, body)
    {_event(_QUEUED, 1)} union all {_event(granting.RUNNING, 2)} where is_granted
), lease as (
    insert into job_leases (token_hash, job_id, attempt, worker_id, granted_at, expires_at)
    select token_hash, id, 1, worker_id, now, now + {_TTL_S} * interval '1 s'
    from placed where is_granted
)
select now, is_granted, now + {_TTL_S} * interval '1 s' as expires_at, has_room,
    is_granted or exists (
        select from workers w
        where (w.is_fleet or w.user_id = p.user_id) and not w.is_draining
            and w.last_seen_at >= now - {_LOST_AFTER_S} * interval '1 s'
            and w.capabilities @> p.required_capabilities
            and (w.node_types is null or w.node_types @> p.node_types)
    ) as can_run
from placed p order by place"""


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
    new = [offer.new for offer in offers]
    origins = [offer.origin for offer in offers]
    rows: list[asyncpg.Record] = await on.fetch(
        _CREATE,
        [origin.job_id for origin in origins],
        [origin.user_id for origin in origins],
        [each.workflow_id for each in new],
        [each.workflow_version for each in new],
        [each.job_type for each in new],
        [each.params for each in new],
        [each.graph for each in new],
        [origin.parent_id for origin in origins],
        [origin.depth for origin in origins],
        [each.priority for each in new],
        [dumps(each.required_capabilities) for each in new],  # arrays of arrays have one length
        [dumps(each.node_types) for each in new],
        [each.timeout_s for each in new],
        [each.max_attempts for each in new],
        [each.webhook for each in new],
        [origin.traceparent for origin in origins],
        [each.run_at for each in new],
        [offer.worker_id for offer in offers],
        [offer.token_hash for offer in offers],
        lost_after_s,
        user_limit,
        ttl_s,
    )
    return rows


def first_events(origin: Origin, row: asyncpg.Record) -> Batch:
    """Return a new job's first events."""
    drafts = [_QUEUED, granting.RUNNING] if row["is_granted"] else [_QUEUED]
    events = log.place(
        drafts,
        job_id=origin.job_id,
        after=0,
        attempt=1,
        time=row["now"],
        traceparent=origin.traceparent,
    )
    return Batch(origin.job_id, origin.user_id, events)


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
