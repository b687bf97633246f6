"""Retention of events: drops the partitions of expired days.

Events of unfinished jobs are kept regardless of age: before a partition is dropped, they move to
the default partition (keeping the partition would let one job that no worker can run retain the
events of all users). The default partition also has events of days without a partition. Expired
events are deleted from it once their job has ended. Events are always removed oldest first, so
that only the beginning of a log can be missing.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from app.database.engine import Database
from app.events import partition_queries
from app.events import retention_queries as queries

BATCH = 5000
LOCK_TIMEOUT_S = 1
"""Maximum wait for the lock on the table, during which other statements queue behind it."""


async def expired_days(db: Database, keep: timedelta) -> list[date]:
    """Return the days with a partition whose events are all older than `keep`, oldest first."""
    limit = await queries.limit_of(db.pool, keep)
    return [day for day in await partition_queries.days(db.pool) if _end_of(day) <= limit]


async def drop_day(db: Database, day: date) -> None:
    """Drop the partition of a day.

    Retained events are copied before the table is locked, and no events are added to a past day.
    So the lock, which blocks all writes of events, is held only for a change of the catalog.

    Raises:
        asyncpg.LockNotAvailableError: The table is in use; retry later.
    """
    await _delete_from_default(db, before=_end_of(day))
    async with db.transaction() as on:
        await queries.copy_unfinished(on, day)
        await partition_queries.limit_lock_waits(on, LOCK_TIMEOUT_S)
        await partition_queries.detach(on, day)
        await queries.restore_unfinished(on)
        await partition_queries.drop(on, day)


async def expired_loose(db: Database, keep: timedelta) -> int:
    """Return the number of expired events of ended jobs in the default partition."""
    return await queries.count_in_default(db.pool, await queries.limit_of(db.pool, keep))


async def delete_expired_loose(db: Database, keep: timedelta) -> int:
    """Delete expired events of ended jobs from the default partition; return their number."""
    return await _delete_from_default(db, before=await queries.limit_of(db.pool, keep))


async def _delete_from_default(db: Database, *, before: datetime) -> int:
    deleted = 0
    while count := await queries.delete_from_default(db.pool, before, limit=BATCH):
        deleted += count
    return deleted


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC)
