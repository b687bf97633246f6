"""Statement that claims jobs: it selects jobs for a worker and leases them.

Scheduling is fair between users: the turn of a job is the number of the user's running jobs plus
the position of the job in the user's own queue, and the lowest turns are leased first. The
statement reads only queued and running jobs, by partial indexes, and skips from user to user, so
neither a long history nor a long queue of one user makes it slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from app.database.records import record_columns
from app.database.statement import Executor, Query, Scalar
from app.events.job_queries import JOB_COLUMNS
from app.queue.lease_queries import LeasedJobRecord
from app.queue.status_events import RUNNING, event_text_sql

if TYPE_CHECKING:
    from app.workers.service import Claimant

SPARE = 16
"""Extra candidates that a claim reads, since concurrent claims may lock the first ones."""


class ClaimRow(NamedTuple):
    """The worker of a claim, and a job that was leased to it or nulls."""

    is_draining: bool
    has_unconfirmed: bool
    leased: LeasedJobRecord | None


_USERS_WITH_QUEUE = """
    (select user_id from jobs where status = 'queued' order by user_id limit 1)
    union all
    select (select j.user_id from jobs j where j.status = 'queued' and j.user_id > o.user_id
            order by j.user_id limit 1)
    from owners o where o.user_id is not null"""
_EVENT_TEXT = event_text_sql(
    RUNNING,
    job_id="g.id",
    seq="(g.last_seq + 1)",
    attempt="g.attempt",
    time="g.now",
    traceparent="g.traceparent",
)


def _claim(owners: str) -> Query[ClaimRow]:
    """Return the statement that claims jobs of the users that the SQL `owners` selects."""
    return Query(
        f"""
with recursive there as materialized (
    select id, is_draining from workers where id = :worker_id for key share
), asking as materialized (
    select is_draining, :redeliver_first and exists (
        select from job_leases l where l.worker_id = :worker_id and l.ended_at is null
            and l.confirmed_at is null and l.expires_at > clock_timestamp()
    ) as has_unconfirmed
    from there
), owners(user_id) as ({owners}
), open_to as (
    select o.user_id, r.running
    from owners o join users u on u.id = o.user_id and u.deleted_at is null
    cross join lateral (
        select count(*) as running from jobs j where j.user_id = o.user_id and j.status = 'running'
    ) r
    where r.running < :user_limit and exists (
        select from asking where not is_draining and not has_unconfirmed
    )
), candidates as (
    select c.id, u.user_id, c.priority,
        u.running + row_number() over (
            partition by u.user_id order by c.priority desc, c.id
        ) as turn
    from open_to u cross join lateral (
        select j.id, j.priority from jobs j
        where j.user_id = u.user_id and j.status = 'queued' and j.available_at <= clock_timestamp()
            and j.required_capabilities <@ :capabilities
            and (:node_types::text[] is null or j.node_types <@ :node_types)
        order by j.priority desc, j.id limit least(:candidates, :user_limit - u.running)
    ) c
), picked as materialized (
    select j.id, j.attempt, j.last_seq, j.traceparent
    -- Join by all columns of the queue's index: by the id alone, the planner would scan the whole
    -- queue.
    from candidates c
    join jobs j on j.user_id = c.user_id and j.priority = c.priority and j.id = c.id
    where j.status = 'queued'
    order by c.turn, c.id limit :max_jobs for update of j skip locked
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
select a.is_draining, a.has_unconfirmed,
    {", ".join(f"r.{column}" for column in record_columns(LeasedJobRecord))}
from asking a left join running r on true
order by r.place""",
        ClaimRow,
    )


_FROM_ALL_USERS = _claim(_USERS_WITH_QUEUE)
_FROM_OWNER = _claim(" select :owner_id::text")
_USERS_WITH_DUE_JOBS = Scalar(
    f"""
with recursive owners(user_id) as ({_USERS_WITH_QUEUE}
)
select user_id from owners o where exists (
    select from jobs j
    where j.user_id = o.user_id and j.status = 'queued' and j.available_at <= clock_timestamp()
)""",
    str,
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """Result of a claim.

    `has_unconfirmed`: the worker has leases that it never confirmed, so no job was leased.
    """

    is_draining: bool
    has_unconfirmed: bool
    jobs: Sequence[LeasedJobRecord]


async def claim(
    on: Executor,
    claimant: Claimant,
    token_hashes: Sequence[bytes],
    *,
    user_limit: int,
    ttl_s: float,
    redeliver_first: bool,
) -> Claimed | None:
    """Lease up to one job per token to a worker; return None for a deleted worker.

    Args:
        on: Executes the statement.
        claimant: The worker.
        token_hashes: Hashes of the tokens for the leases, in the order of the jobs.
        user_limit: The maximum number of running jobs of one user.
        ttl_s: The duration of the leases.
        redeliver_first: Lease nothing if the worker has unconfirmed leases.
    """
    types = claimant.capabilities.node_types
    params = {
        "worker_id": claimant.id,
        "capabilities": list(claimant.capabilities.names),
        "node_types": None if types is None else list(types),
        "token_hashes": token_hashes,
        "max_jobs": len(token_hashes),
        "candidates": len(token_hashes) + SPARE,
        "user_limit": user_limit,
        "ttl_s": ttl_s,
        "redeliver_first": redeliver_first,
    }
    if claimant.owner_id is None:
        rows = await _FROM_ALL_USERS.all(on, **params)
    else:
        rows = await _FROM_OWNER.all(on, **params, owner_id=claimant.owner_id)
    if not rows:
        return None
    jobs = [row.leased for row in rows if row.leased is not None]
    return Claimed(rows[0].is_draining, rows[0].has_unconfirmed, jobs)


async def users_with_due_jobs(on: Executor) -> list[str]:
    """Return the ids of users with a queued job that can be claimed now."""
    return await _USERS_WITH_DUE_JOBS.values(on)
