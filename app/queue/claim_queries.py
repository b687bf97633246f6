"""The claim, as one statement: picks jobs for a worker and gives their leases.

Fair between users: each user's next job has a turn, which is the number of his jobs that run plus
its place in his own queue, and the lowest turns go first. The statement looks at queued and
running jobs only, by partial indexes, and jumps from user to user, so neither a long history nor a
long queue of one user makes it slow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from app.events import log
from app.events.log import Batch
from app.events.sql import shared_sql, text_sql
from app.jobs import queries
from app.jobs.queries import On
from app.workers.service import Claimant

SPARE = 16
"""How many more candidates a claim looks at than it takes: others may claim the first ones."""

RUNNING = log.draft({"type": "job_update", "status": "running"})

_EVERYBODY = """
    (select user_id from jobs where status = 'queued' order by user_id limit 1)
    union all
    select (select j.user_id from jobs j where j.status = 'queued' and j.user_id > o.user_id
            order by j.user_id limit 1)
    from owners o where o.user_id is not null"""
_TAKE = f"""
with recursive there as materialized (
    select id, is_draining from workers where id = $6 for key share
), asking as materialized (
    select is_draining, $9 and exists (
        select from job_leases l where l.worker_id = $6 and l.ended_at is null
            and l.confirmed_at is null and l.expires_at > clock_timestamp()
    ) as is_owed_more
    from there
), owners(user_id) as (<owners>
), open_to as (
    select o.user_id, r.running
    from owners o join users u on u.id = o.user_id and u.deleted_at is null
    cross join lateral (
        select count(*) as running from jobs j where j.user_id = o.user_id and j.status = 'running'
    ) r
    where r.running < $3 and exists (
        select from asking where not is_draining and not is_owed_more
    )
), candidates as (
    select c.id, u.user_id, c.priority,
        u.running + row_number() over (
            partition by u.user_id order by c.priority desc, c.id
        ) as turn
    from open_to u cross join lateral (
        select j.id, j.priority from jobs j
        where j.user_id = u.user_id and j.status = 'queued' and j.available_at <= clock_timestamp()
            and j.required_capabilities <@ $1 and ($2::text[] is null or j.node_types <@ $2)
        order by j.priority desc, j.id limit least($4, $3 - u.running)
    ) c
), picked as materialized (
    select j.id, j.attempt, j.last_seq, j.traceparent
    -- All of the queue's index: by the id alone the planner would walk through the whole queue.
    from candidates c
    join jobs j on j.user_id = c.user_id and j.priority = c.priority and j.id = c.id
    where j.status = 'queued'
    order by c.turn, c.id limit $5 for update of j skip locked
), granted as materialized (
    select *, row_number() over () as place, clock_timestamp() as now from picked
), lease as (
    insert into job_leases (token_hash, job_id, attempt, worker_id, granted_at, expires_at)
    select t.hash, g.id, g.attempt, $6, g.now, g.now + $8 * interval '1 s'
    from granted g join unnest($7::bytea[]) with ordinality as t(hash, place) on t.place = g.place
), event as (
    insert into job_events (job_id, seq, time, is_end, body)
    select g.id, g.last_seq + 1, g.now, false,
        {
    text_sql(
        kind=f"'{RUNNING.type}'",
        job_id="g.id",
        seq="(g.last_seq + 1)",
        shared=shared_sql(attempt="g.attempt", time="g.now", traceparent="g.traceparent"),
        tail=f"'{RUNNING.tail}'",
    )
}
    from granted g
), running as (
    update jobs j
    set status = 'running', worker_id = $6, started_at = coalesce(j.started_at, g.now),
        attempt_started_at = g.now, last_seq = g.last_seq + 1
    from granted g where j.id = g.id
    returning {queries.WHOLE}, g.place, g.now, g.now + $8 * interval '1 s' as expires_at
)
select a.is_draining, a.is_owed_more, r.* from asking a left join running r on true
order by r.place"""
_TAKE_FROM_ALL = _TAKE.replace("<owners>", _EVERYBODY)
_TAKE_FROM_OWN = _TAKE.replace("<owners>", " select $10::text")


@dataclass(frozen=True, slots=True)
class Granted:
    """A lease: its token, and the row of its job with `expires_at`."""

    token: str
    row: asyncpg.Record | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Taken:
    """What a claim found.

    `is_owed_more`: the worker was given leases before that it never spoke for, and nothing now.
    """

    is_draining: bool
    is_owed_more: bool
    rows: Sequence[asyncpg.Record]
    """The jobs, each with when its lease expires."""

    @property
    def batches(self) -> list[Batch]:
        """The event of each job, that it runs."""
        return [_running(row) for row in self.rows]


async def take(
    on: On,
    claimant: Claimant,
    token_hashes: Sequence[bytes],
    *,
    user_limit: int,
    ttl_s: float,
    again_first: bool,
) -> Taken | None:
    """Give a worker as many jobs as there are tokens; None: there is no such worker any more.

    Args:
        on: Where it runs.
        claimant: The worker.
        token_hashes: Of the tokens of the leases, in the order of the jobs.
        user_limit: How many jobs of one user may run.
        ttl_s: How long the leases last.
        again_first: Whether to give nothing to a worker that is owed earlier leases.
    """
    types = claimant.capabilities.node_types
    args: list[Any] = [
        list(claimant.capabilities.names),
        None if types is None else list(types),
        user_limit,
        len(token_hashes) + SPARE,
        len(token_hashes),
        claimant.id,
        token_hashes,
        ttl_s,
        again_first,
    ]
    if claimant.owner_id is None:
        rows = await on.fetch(_TAKE_FROM_ALL, *args)
    else:
        rows = await on.fetch(_TAKE_FROM_OWN, *args, claimant.owner_id)
    if not rows:
        return None
    given = [row for row in rows if row["id"] is not None]
    return Taken(rows[0]["is_draining"], rows[0]["is_owed_more"], given)


def _running(row: asyncpg.Record) -> Batch:
    return Batch(
        row["id"],
        row["user_id"],
        [RUNNING],
        after=row["last_seq"] - 1,
        attempt=row["attempt"],
        time=row["now"],
        traceparent=row["traceparent"],
    )
