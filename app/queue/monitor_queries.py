"""Statements that measure the queue."""

from __future__ import annotations

from typing import NamedTuple

from app.database.statement import Executor, Query, Scalar
from app.events.lanes_sql import in_lane


class QueueDepth(NamedTuple):
    """The numbers of queued jobs that can be claimed and that are for later.

    `oldest_s` is the time since the first one could be claimed, 0 without due jobs.
    """

    due: int
    delayed: int
    oldest_s: float


# Each lane once, though it may have several rows.
_DEPTH = Query(
    f"""
select count(*) filter (where j.available_at <= now()) as due,
    count(*) filter (where j.available_at > now()) as delayed,
    coalesce(greatest(extract(epoch from now() - min(j.available_at)), 0), 0)::float8 as oldest_s
from (
    select user_id, priority, min(floor) as floor from queue_lanes group by user_id, priority
) lane
cross join lateral (select j.available_at from jobs j where {in_lane("lane.user_id")}) j""",
    QueueDepth,
)
# Only its own transactions, unless the role may read those of others (pg_read_all_stats).
_OLDEST_TRANSACTION_S = Scalar(
    """
select coalesce(extract(epoch from clock_timestamp() - min(xact_start)), 0)::float8
from pg_stat_activity
where datname = current_database() and backend_type = 'client backend'""",
    float,
)


async def depth(on: Executor) -> QueueDepth:
    """Return the numbers of queued jobs."""
    return await _DEPTH.only(on)


async def oldest_transaction_s(on: Executor) -> float:
    """Return the age of the oldest open transaction of the database."""
    return await _OLDEST_TRANSACTION_S.only(on)
