"""Statement that claims jobs: it selects jobs for a worker and leases them.

Scheduling is fair between users: the turn of a job is the number of the user's running jobs plus
the position of the job in the user's own queue, and the lowest turns are leased first. The
statement reads a few users, and of their lanes only the first jobs from the floor on, so neither a
long history nor a long queue makes it slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from app.database.records import record_columns
from app.database.statement import Executor, Query, Scalar
from app.events.job_queries import JOB_COLUMNS
from app.events.lanes_sql import in_lane
from app.events.sql import unindexed
from app.queue.lease_queries import LeasedJobRecord
from app.queue.status_events import RUNNING, event_text_sql

if TYPE_CHECKING:
    from app.queue.user_turns import UserTurn
    from app.workers.service import Claimant

SPARE, SPARE_PER_USER = 16, 3
"""Extra candidates that a claim reads, since concurrent claims may lock the first ones."""


class ClaimRow(NamedTuple):
    """The worker of a claim and the time, and a job that was leased to the worker or nulls."""

    is_draining: bool
    has_unconfirmed: bool
    asked_at: datetime
    leased: LeasedJobRecord | None


_EVENT_TEXT = event_text_sql(
    RUNNING,
    job_id="g.id",
    seq="(g.last_seq + 1)",
    attempt="g.attempt",
    time="g.now",
    traceparent="g.traceparent",
)


@lru_cache(maxsize=16)
def _claim(candidates: int) -> Query[ClaimRow]:
    """Return the statement that reads at most `candidates` jobs of each user.

    The number is part of the text: for a parameter, the planner would assume a tenth of the queue.
    """
    return Query(
        f"""
with there as materialized (
    select id, is_draining from workers where id = :worker_id for key share
), asking as materialized (
    select is_draining, clock_timestamp() as now, :redeliver_first and exists (
        select from job_leases l
        where l.worker_id = :worker_id and l.ended_at is null and l.confirmed_at is null
            and l.granted_at > greatest(now() - :ttl_s * interval '1 s', :confirmed_until)
            and l.expires_at > clock_timestamp()
    ) as has_unconfirmed
    from there
), turns as materialized (
    select t.user_id, case when t.is_near_limit then (
        select count(*) from jobs r where r.user_id = t.user_id and r.status = 'running'
    ) else t.running end as running
    from unnest(
        (select :user_ids::text[]), (select :running::int[]), (select :are_near_limit::bool[])
    ) as t(user_id, running, is_near_limit)
    join users u on u.id = t.user_id and u.deleted_at is null
    where exists (select from asking where not is_draining and not has_unconfirmed)
), lanes as materialized (
    select t.user_id, l.priority, min(l.floor) as floor, t.running
    from turns t join queue_lanes l on l.user_id = t.user_id
    where t.running < :user_limit
    group by t.user_id, l.priority, t.running
), candidates as materialized (
    select j.id, lane.running + row_number() over (
        partition by lane.user_id order by lane.priority desc, j.id
    ) as turn
    from lanes lane cross join lateral (
        select j.id from jobs j
        where {in_lane("lane.user_id")} and j.available_at <= clock_timestamp()
            and j.required_capabilities <@ :capabilities
            and coalesce(j.node_types <@ :node_types, true)
        order by j.id limit {candidates}
    ) j
), picked as materialized (
    select j.id, j.attempt, j.last_seq, j.traceparent
    from (select id from candidates where turn <= :user_limit order by turn, id) c
    cross join lateral (
        select * from jobs j
        where j.id = c.id and {unindexed("j.status")} = 'queued' for update skip locked
    ) j
    limit :max_jobs
), granted as materialized (
    select *, row_number() over () as place, clock_timestamp() as now from picked
), lease as (
    insert into job_leases (token_hash, job_id, attempt, worker_id, granted_at, expires_at)
    select t.hash, g.id, g.attempt, :worker_id, g.now, g.now + :ttl_s * interval '1 s'
    from granted g
    join unnest(:token_hashes::bytea[]) with ordinality as t(hash, place) on t.place = g.place
), event as (
    insert into job_events (job_id, seq, time, is_end, body)
    select g.id, g.last_seq + 1, g.now, false, {_EVENT_TEXT} from granted g
), running as (
    update jobs j
    set status = 'running', worker_id = :worker_id, started_at = coalesce(j.started_at, g.now),
        attempt_started_at = g.now, last_seq = g.last_seq + 1
    from granted g where j.id = g.id
    returning {JOB_COLUMNS}, g.place, g.now, g.now + :ttl_s * interval '1 s' as expires_at
)
select a.is_draining, a.has_unconfirmed, a.now as asked_at,
    {", ".join(f"r.{column}" for column in record_columns(LeasedJobRecord))}
from asking a left join running r on true
order by r.place""",
        ClaimRow,
    )


_USERS_WITH_DUE_JOBS = Scalar(
    f"""
select distinct lane.user_id from queue_lanes lane where exists (
    select from jobs j where {in_lane("lane.user_id")} and j.available_at <= clock_timestamp()
)""",
    str,
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """Result of a claim at the time `asked_at`.

    `has_unconfirmed`: the worker has leases that it never confirmed, so no job was leased.
    """

    is_draining: bool
    has_unconfirmed: bool
    asked_at: datetime
    jobs: Sequence[LeasedJobRecord]


async def claim(
    on: Executor,
    claimant: Claimant,
    token_hashes: Sequence[bytes],
    turns: Sequence[UserTurn],
    *,
    user_limit: int,
    ttl_s: float,
    redeliver_first: bool,
    confirmed_until: datetime | None,
) -> Claimed | None:
    """Lease up to one job per token to a worker; return None for a deleted worker.

    Args:
        on: Executes the statement.
        claimant: The worker.
        token_hashes: Hashes of the tokens for the leases, in the order of the jobs.
        turns: The users whose jobs are claimed.
        user_limit: The maximum number of running jobs of one user.
        ttl_s: The duration of the leases.
        redeliver_first: Lease nothing if the worker has unconfirmed leases.
        confirmed_until: A time before which the worker has no unconfirmed leases.
    """
    types = claimant.capabilities.node_types
    rows = await _claim(_candidates(len(token_hashes), len(turns))).all(
        on,
        worker_id=claimant.id,
        capabilities=list(claimant.capabilities.names),
        node_types=None if types is None else list(types),
        token_hashes=token_hashes,
        user_ids=[turn.user_id for turn in turns],
        running=[turn.running for turn in turns],
        are_near_limit=[turn.is_near_limit for turn in turns],
        max_jobs=len(token_hashes),
        user_limit=user_limit,
        ttl_s=ttl_s,
        redeliver_first=redeliver_first,
        confirmed_until=confirmed_until,
    )
    if not rows:
        return None
    jobs = [row.leased for row in rows if row.leased is not None]
    return Claimed(rows[0].is_draining, rows[0].has_unconfirmed, rows[0].asked_at, jobs)


def _candidates(max_jobs: int, users: int) -> int:
    """Return the number of jobs to read of each user: a power of 2, so that texts repeat."""
    needed = max_jobs + max(SPARE // max(users, 1), SPARE_PER_USER)
    return int(1 << (needed - 1).bit_length())


async def users_with_due_jobs(on: Executor) -> list[str]:
    """Return the ids of users with a queued job that can be claimed now."""
    return await _USERS_WITH_DUE_JOBS.values(on)
