"""Storing what workers post: the batches of many jobs in one statement.

What a batch must meet to be stored (the lease lives, nothing is missing or doubled) is a condition
of the statement, so that the usual batch costs one round trip and no transaction of its own. What
does not meet it is not stored, and left to who can say why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg

from app.database.engine import dumps
from app.database.statement import Connection
from app.events.event_batch import Posted
from app.events.log import Batch
from app.events.node_states import columns_sql, node_columns
from app.events.queries import UPSERT_NODES
from app.events.sql import shared_sql, text_sql
from app.jobs.queries import STATE

On: TypeAlias = "Connection | asyncpg.Pool[asyncpg.Record]"

# The clock is read after the locks are held: before, it would be read before a wait for them.
_STORE = f"""
with locked as materialized (
    select a.place, a.n, a.ends, a.completed, a.result, a.progress as said, l.token_hash,
        l.worker_id as lease_worker_id, l.expires_at, {STATE}
    from unnest($1::bytea[], $2::text[], $3::int[], $4::int[], $5::bool[], $6::text[],
        $7::float8[], $9::bool[])
        with ordinality as a(hash, job_id, first, n, completed, result, progress, ends, place)
    join job_leases l on l.token_hash = a.hash and l.job_id = a.job_id
    join jobs j on j.id = l.job_id
    where l.ended_at is null and l.last_client_seq = a.first - 1 and j.status = 'running'
        and not (a.completed and j.webhook is not null)
    order by j.id for update of j, l
), timed as materialized (
    select *, clock_timestamp() as now from locked
), held as materialized (
    select *, {shared_sql(attempt="attempt", time="now", traceparent="traceparent")} as shared
    from timed where expires_at > now
), events as (
    insert into job_events (job_id, seq, time, is_end, body)
    select h.id, h.last_seq + e.ord, h.now, h.ends and e.ord = h.n,
        {
    text_sql(
        kind="e.kind", job_id="h.id", seq="(h.last_seq + e.ord)", shared="h.shared", tail="e.tail"
    )
}
    from unnest($10::int[], $11::int[], $12::text[], $13::text[]) as e(place, ord, kind, tail)
    join held h on h.place = e.place
), nodes as (
    {
    UPSERT_NODES.format(
        job_id="h.id",
        attempt="h.attempt",
        now="h.now",
        seq="h.last_seq + n.seq",
        source=columns_sql(14, also="place") + " join held h on h.place = n.place",
    )
}
), lease as (
    update job_leases l
    set last_client_seq = l.last_client_seq + h.n, confirmed_at = coalesce(l.confirmed_at, h.now),
        expires_at = h.now + $8 * interval '1 s',
        ended_at = case when h.completed then h.now end
    from held h where l.token_hash = h.token_hash
), job as (
    update jobs j
    set last_seq = h.last_seq + h.n, progress = coalesce(h.said, j.progress)
    from held h where j.id = h.id and not h.completed
), completed as (
    update jobs j
    set last_seq = h.last_seq + h.n, progress = 1, status = 'completed',
        result = h.result::json, finished_at = h.now
    from held h where j.id = h.id and h.completed
)
select place, id, user_id, attempt, traceparent, last_seq, now, completed, lease_worker_id,
    cancel_requested_at, now + $8 * interval '1 s' as expires_at
from held"""


@dataclass(frozen=True, slots=True)
class Posting:
    """A batch of events for one job, with the token of its lease."""

    job_id: str
    token_hash: bytes
    events: Sequence[Posted]

    @property
    def first(self) -> int:
        """The `client_seq` of its first event."""
        return self.events[0].client_seq

    @property
    def result(self) -> str | None:
        """The result that it ends the job with, as JSON; None where it does not complete it."""
        last = self.events[-1]
        return dumps(last.event["result"]) if last.end_status == "completed" else None


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a posting that was stored: its events, and the state of the job."""

    batch: Batch
    row: asyncpg.Record

    @property
    def last_seq(self) -> int:
        """The job's last `seq`."""
        return self.batch.last_seq


async def store(
    on: On, postings: Sequence[Posting], *, ttl_s: float, ends: bool = True
) -> list[Kept | None]:
    """Store what can be stored as it is, renew the leases, and complete the jobs that say so.

    Args:
        on: With a transaction where the caller holds locks.
        postings: Each of another job.
        ttl_s: How long the leases last from now on.
        ends: Whether to complete jobs; without it that is left to the caller.

    Returns:
        What was stored, None in the place of a posting that was not.
    """
    results = [posting.result if ends else None for posting in postings]
    rows = await on.fetch(
        _STORE,
        [posting.token_hash for posting in postings],
        [posting.job_id for posting in postings],
        [posting.first for posting in postings],
        [len(posting.events) for posting in postings],
        [result is not None for result in results],
        results,
        [_progress(posting.events) for posting in postings],
        ttl_s,
        [posting.events[-1].draft.is_end for posting in postings],
        *_event_columns(postings),
        *_node_columns(postings),
    )
    kept: list[Kept | None] = [None] * len(postings)
    for row in rows:
        kept[row["place"] - 1] = Kept(_batch(row, postings[row["place"] - 1]), row)
    return kept


def _batch(row: asyncpg.Record, posting: Posting) -> Batch:
    return Batch(
        row["id"],
        row["user_id"],
        [posted.draft for posted in posting.events],
        after=row["last_seq"],
        attempt=row["attempt"],
        time=row["now"],
        traceparent=row["traceparent"],
    )


def _event_columns(postings: Sequence[Posting]) -> list[list[Any]]:
    flat = [
        (at, number, posted.draft)
        for at, posting in enumerate(postings, 1)
        for number, posted in enumerate(posting.events, 1)
    ]
    return [
        [at for at, _, _ in flat],
        [number for _, number, _ in flat],
        [draft.type for _, _, draft in flat],
        [draft.tail for _, _, draft in flat],
    ]


def _node_columns(postings: Sequence[Posting]) -> list[list[Any]]:
    places: list[int] = []
    columns: list[list[Any]] = []
    for at, posting in enumerate(postings, 1):
        own = node_columns((n, posted.event) for n, posted in enumerate(posting.events, 1))
        places += [at] * len(own[0])
        columns = own if not columns else [a + b for a, b in zip(columns, own, strict=True)]
    return [places, *columns]


def _progress(events: Sequence[Posted]) -> float | None:
    """Return the last progress of the whole job that a batch tells, if it tells one."""
    for posted in reversed(events):
        if posted.event["type"] == "job_update" and posted.event.get("progress") is not None:
            return float(posted.event["progress"])
    return None
