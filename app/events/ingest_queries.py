"""Statement that stores the event batches of many jobs."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from app.database.statement import Query
from app.events.node_queries import nodes_sql, upsert_sql
from app.events.sql import shared_sql, text_sql, unindexed, unindexed_null


class StoredBatchRecord(NamedTuple):
    """A stored batch: its position among the batches (from 1), its job and its lease.

    `last_seq` is the last one of the job before the batch.
    """

    place: int
    job_id: str
    user_id: str
    attempt: int
    traceparent: str | None
    last_seq: int
    now: datetime
    completed: bool
    worker_id: str
    cancel_requested_at: datetime | None
    expires_at: datetime


_TEXT = text_sql(
    kind="e.kind", job_id="h.id", seq="(h.last_seq + e.ord)", shared="h.shared", tail="e.tail"
)
_UPSERT_NODES = upsert_sql(
    job_id="h.id",
    attempt="h.attempt",
    now="h.now",
    seq="h.last_seq + n.seq",
    source=f"{nodes_sql()} join held h on h.place = n.place",
)

# The clock is read outside the CTE with the locks: inside, it would be read before the wait.
STORE = Query(
    f"""
with locked as materialized (
    select a.place, a.n, a.client_n, a.ends, a.completed, a.result, a.progress as reported,
        l.token_hash,
        l.worker_id, l.expires_at, j.id, j.user_id, j.attempt, j.last_seq, j.traceparent,
        j.cancel_requested_at
    from unnest(:token_hashes::bytea[], :job_ids::text[], :first_client_seqs::int[],
        :counts::int[], :client_counts::int[], :completed::bool[], :results::text[],
        :progress::float8[], :ends::bool[])
        with ordinality as a(hash, job_id, first, n, client_n, completed, result, progress, ends,
            place)
    join job_leases l on l.token_hash = a.hash and l.job_id = a.job_id
    join jobs j on j.id = l.job_id
    where {unindexed_null("l.ended_at")} and l.last_client_seq = a.first - 1
        and {unindexed("j.status")} = 'running'
        and not (a.completed and j.webhook is not null) and j.last_seq + a.n <= :max_events
    order by j.id for update of j, l
), timed as materialized (
    select *, clock_timestamp() as now from locked
), held as materialized (
    select *, {shared_sql(attempt="attempt", time="now", traceparent="traceparent")} as shared
    from timed where expires_at > now
), events as (
    insert into job_events (job_id, seq, time, is_end, body)
    select h.id, h.last_seq + e.ord, h.now, h.ends and e.ord = h.n, {_TEXT}
    from unnest(:event_places::int[], :event_numbers::int[], :event_types::text[],
        :event_tails::text[]) as e(place, ord, kind, tail)
    join held h on h.place = e.place
), nodes as ({_UPSERT_NODES}
), lease as (
    update job_leases l
    set last_client_seq = l.last_client_seq + h.client_n,
        confirmed_at = coalesce(l.confirmed_at, h.now),
        expires_at = h.now + :ttl_s * interval '1 s',
        ended_at = case when h.completed then h.now end
    from held h where l.token_hash = h.token_hash
), job as (
    update jobs j
    set last_seq = h.last_seq + h.n, progress = coalesce(h.reported, j.progress)
    from held h where j.id = h.id and not h.completed
), completed as (
    update jobs j
    set last_seq = h.last_seq + h.n, progress = 1, status = 'completed',
        result = h.result::json, finished_at = h.now
    from held h where j.id = h.id and h.completed
)
select place, id as job_id, user_id, attempt, traceparent, last_seq, now, completed, worker_id,
    cancel_requested_at, now + :ttl_s * interval '1 s' as expires_at
from held""",
    StoredBatchRecord,
)
