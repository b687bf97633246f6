"""Putting a job into the queue: one statement, which also tells what the answer needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from app.events import log
from app.events.log import Batch
from app.jobs.bell import Needs
from app.jobs.placing import shared_sql, tail_of, text_sql
from app.jobs.queries import On

_QUEUED = log.draft({"type": "job_update", "status": "queued"})

_CREATE = f"""
with clock as materialized (
    select clock_timestamp() as now
), job as (
    insert into jobs (id, user_id, workflow_id, workflow_version, job_type, status, params, graph,
        parent_job_id, depth, priority, required_capabilities, node_types, timeout_s, max_attempts,
        webhook, traceparent, run_at, last_seq, created_at, available_at)
    select $1, $2, $3, $4, $5, 'queued', $6::text::json, $7::text::json, $8, $9, $10, $11, $12, $13,
        $14, $15, $16, $17, 1, now, greatest(now, $17)
    from clock
), event as (
    insert into job_events (job_id, seq, time, is_end, body)
    select $1, 1, now, false,
        {
    text_sql(
        kind=f"'{_QUEUED.type}'",
        job_id="$1::text",
        seq="1",
        shared=shared_sql(attempt="1", time="now", traceparent="$16::text"),
        tail=f"'{tail_of(_QUEUED)}'",
    )
}
    from clock
)
select now,
    exists (
        select from workers w
        where (w.is_fleet or w.user_id = $2) and not w.is_draining
            and w.last_seen_at >= now - $18 * interval '1 s'
            and w.capabilities @> $11 and (w.node_types is null or w.node_types @> $12)
    ) as can_run,
    (
        select count(*) from (
            select from jobs r where r.user_id = $2 and r.status = 'running' limit $19
        ) running
    ) < $19 as has_room
from clock"""


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


async def insert(
    on: On, origin: Origin, new: NewJob, *, lost_after_s: float, user_limit: int
) -> asyncpg.Record:
    """Store a new job and its first event.

    Returns:
        The moment, whether some worker can run it, and whether its user has room for it.
    """
    row = await on.fetchrow(
        _CREATE,
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
        new.required_capabilities,
        new.node_types,
        new.timeout_s,
        new.max_attempts,
        new.webhook,
        origin.traceparent,
        new.run_at,
        lost_after_s,
        user_limit,
    )
    if row is None:
        raise RuntimeError("a statement that always gives a row gave none")
    return row


def queued(origin: Origin, now: datetime) -> Batch:
    """Return a new job's first event."""
    events = log.place(
        [_QUEUED],
        job_id=origin.job_id,
        after=0,
        attempt=1,
        time=now,
        traceparent=origin.traceparent,
    )
    return Batch(origin.job_id, origin.user_id, events)


def needs(origin: Origin, new: NewJob, now: datetime) -> list[Needs]:
    """Return what a worker needs to run it now; nothing where it is for later."""
    if new.run_at is not None and new.run_at > now:
        return []
    return [Needs(origin.user_id, new.required_capabilities, new.node_types)]


def row_of(origin: Origin, new: NewJob, now: datetime) -> dict[str, Any]:
    """Return how a new job stands."""
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
        "timeout_s": new.timeout_s,
        "worker_id": None,
        "cancel_requested_at": None,
        "run_at": new.run_at,
        "created_at": now,
        "started_at": None,
        "finished_at": None,
        "cost": None,
    }
