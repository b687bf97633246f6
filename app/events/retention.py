"""Retention of events: a day at a time, by dropping its partition.

Events of a job that has not ended are kept, however old: before a day is dropped, they move to the
default partition. To keep the whole day for them would let one job that no worker can run keep
the events of all users. They are deleted from the default partition once their job has ended, like
events that came there because their day had no partition. Events are removed from the oldest on,
so that a log only ever loses its beginning.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from app.database.engine import Database
from app.events import partition_queries
from app.events import retention_queries as queries

BATCH = 5000
LOCK_TIMEOUT_S = 1
"""Maximum time that other statements wait behind the wait for the lock on the table."""


async def expired_days(db: Database, keep: timedelta) -> list[date]:
    """Return the days whose events are all older than `keep`, oldest first."""
    limit = await queries.limit_of(db.pool, keep)
    return [day for day in await partition_queries.days(db.pool) if _end_of(day) <= limit]


async def drop_day(db: Database, day: date) -> None:
    """Drop the partition of a day.

    The events that stay are copied before the table is locked, and no event is added to a day that
    is over. So the lock, for which all events wait, is held for little more than a change of the
    catalog.

    Raises:
        asyncpg.LockNotAvailableError: The table is in use; try again later.
    """
    await _delete_from_default(db, before=_end_of(day))
    async with db.transaction() as on:
        await queries.copy_unfinished(on, day)
        await partition_queries.limit_lock_waits(on, LOCK_TIMEOUT_S)
        await partition_queries.detach(on, day)
        await queries.restore_unfinished(on)
        await partition_queries.drop(on, day)


async def expired_loose(db: Database, keep: timedelta) -> int:
    """Return how many events of ended jobs, older than `keep`, are in the default partition."""
    return await queries.count_in_default(db.pool, await queries.limit_of(db.pool, keep))


async def delete_expired_loose(db: Database, keep: timedelta) -> int:
    """Delete those events; return how many."""
    return await _delete_from_default(db, before=await queries.limit_of(db.pool, keep))


async def _delete_from_default(db: Database, *, before: datetime) -> int:
    deleted = 0
    while count := await queries.delete_from_default(db.pool, before, limit=BATCH):
        deleted += count
    return deleted


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC)
