"""Statements that maintain the lanes of the queue.

A floor is raised in three statements of one transaction: read the limit, lock the lanes, then look
for the first queued job. The last statement sees all jobs that were stored before the lock, and the
trigger `queue_job` holds a lock of its own until the job of an older id is committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from app.database.id_sql import first_id_at
from app.database.statement import Connection, Executor, Query, Scalar, Statement
from app.events.lanes_sql import in_lane


class MissedLane(NamedTuple):
    """The first queued job of a user and a priority, which no lane has."""

    user_id: str
    priority: int
    floor: str


SWEEP_LOCK_ID = 7103452671
CLOCK_MARGIN_S = 2
"""Age that the id of a new job has at most when it is inserted, else the trigger locks the floor.

Longer than the 1 s that the trigger allows.
"""

OLDEST_WRITER_S = 60
"""Age at which a transaction that writes no longer holds floors; inserts of jobs take 30 s."""

# The start of the oldest transaction that has written something: its jobs may not be visible yet.
_LIMIT = Scalar(
    f"""
select {first_id_at("oldest")} from (
    select greatest(
        least(clock_timestamp(), min(xact_start)) - interval '{CLOCK_MARGIN_S} s',
        clock_timestamp() - interval '{OLDEST_WRITER_S} s'
    ) as oldest
    from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend'
        and backend_xid is not null
) writers""",
    str,
)
_LOCK_OF_USERS = Scalar(
    """
select id from queue_lanes where user_id = any(:user_ids)
for no key update skip locked""",
    int,
)
_LOCK_ALL = Scalar("select id from queue_lanes for no key update skip locked", int)
_RAISE = Statement(
    f"""
update queue_lanes l set floor = raised.floor
from queue_lanes lane cross join lateral (
    select least(:limit, (
        select j.id from jobs j where {in_lane("lane.user_id")} order by j.id limit 1
    )) as floor
) raised
where lane.id = any(:lane_ids) and l.id = lane.id and raised.floor > l.floor"""
)
_TRY_SWEEP_LOCK = Scalar(f"select pg_try_advisory_xact_lock({SWEEP_LOCK_ID})", bool)
# Skips from lane to lane, without the floors.
_MISSED = Query(
    """
with recursive heads(user_id, priority, id) as (
    (select user_id, priority, id from jobs where status = 'queued'
     order by user_id, priority desc, id limit 1)
    union all
    select following.user_id, following.priority, following.id
    from heads h cross join lateral (
        (select j.user_id, j.priority, j.id from jobs j
         where j.status = 'queued' and j.user_id = h.user_id and j.priority < h.priority
         order by j.priority desc, j.id limit 1)
        union all
        (select j.user_id, j.priority, j.id from jobs j
         where j.status = 'queued' and j.user_id > h.user_id
         order by j.user_id, j.priority desc, j.id limit 1)
        limit 1
    ) following
)
select h.user_id, h.priority, h.id as floor from heads h where not exists (
    select from queue_lanes l
    where l.user_id = h.user_id and l.priority = h.priority and l.floor <= h.id
)""",
    MissedLane,
)
_INSERT = Statement(
    """
insert into queue_lanes (user_id, priority, floor)
select * from unnest(:user_ids::text[], :priorities::int[], :floors::text[])"""
)
_IS_UNUSED = f"""(
    not exists (select from jobs j where {in_lane("lane.user_id")}) or exists (
        select from queue_lanes same
        where same.user_id = lane.user_id and same.priority = lane.priority
            and (same.floor, same.id) < (lane.floor, lane.id)
    )
)"""
# Not those that a transaction with a new job of the lane has locked.
_LOCK_UNUSED = Scalar(
    f"select lane.id from queue_lanes lane where {_IS_UNUSED} for update of lane skip locked", int
)
_DELETE_UNUSED = Statement(
    f"delete from queue_lanes lane where lane.id = any(:lane_ids) and {_IS_UNUSED}"
)


async def read_limit(on: Executor) -> str:
    """Return the lowest id that a job may have which is not visible yet."""
    return await _LIMIT.only(on)


async def lock(on: Connection, user_ids: Sequence[str] | None) -> list[int]:
    """Lock the lanes of users, or all, except those that another transaction holds."""
    if user_ids is None:
        return await _LOCK_ALL.values(on)
    return await _LOCK_OF_USERS.values(on, user_ids=user_ids)


async def raise_floors(on: Connection, lane_ids: Sequence[int], *, limit: str) -> int:
    """Raise the floors of locked lanes to their first job, at most to `limit`."""
    return await _RAISE.execute(on, lane_ids=lane_ids, limit=limit)


async def try_sweep_lock(on: Connection) -> bool:
    """Acquire the lock of the sweep for the transaction; return False if another one has it."""
    return bool(await _TRY_SWEEP_LOCK.value(on))


async def missed(on: Connection) -> list[MissedLane]:
    """Return the first queued jobs that no lane has; reads the whole index of the queue."""
    return await _MISSED.all(on)


async def insert(on: Connection, lanes: Sequence[MissedLane]) -> None:
    """Insert lanes."""
    await _INSERT.execute(
        on,
        user_ids=[lane.user_id for lane in lanes],
        priorities=[lane.priority for lane in lanes],
        floors=[lane.floor for lane in lanes],
    )


async def delete_unused(on: Connection) -> int:
    """Delete lanes without queued jobs, and all rows of a lane but the one that holds."""
    if not (lane_ids := await _LOCK_UNUSED.values(on)):
        return 0
    return await _DELETE_UNUSED.execute(on, lane_ids=lane_ids)
