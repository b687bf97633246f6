"""How old events go: a day at once, by dropping its partition.

Events of a job that has not ended stay, however old: before a day is dropped, they move to the
default partition. To keep the whole day for them would let one job that no worker can run keep
everybody's. From the default partition they are deleted once their job has ended, as is whatever
came there because its day had no partition. All goes from the oldest on, so that a log only ever
loses its beginning.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from app.database.engine import Database
from app.events.partitions import name_of

BATCH = 5000
LOCK_S = 1
"""How long everybody else may have to wait for the lock on the table that we wait for."""
COPY_S = 900

_LIMIT = "select clock_timestamp() - $1::interval"
_DAYS = """
select to_date(right(c.relname, 8), 'YYYYMMDD') as day
from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'job_events'::regclass and c.relname ~ '^job_events_[0-9]{8}$'
order by day"""
_LOOSE = """
from job_events_default e where e.time < $1 and not exists (
    select from jobs j where j.id = e.job_id and j.status in ('queued', 'running')
)"""
_DELETE_LOOSE = f"""
with old as (select job_id, seq, time {_LOOSE} order by time, job_id, seq limit $2)
delete from job_events_default d using old
where d.job_id = old.job_id and d.seq = old.seq and d.time = old.time
returning 1"""
_COPY = """
create temporary table kept_events on commit drop as
select e.* from {day} e join jobs j on j.id = e.job_id where j.status in ('queued', 'running')"""


async def expired_days(db: Database, keep: timedelta) -> list[date]:
    """Return the days whose events are all older than `keep`, oldest first."""
    limit: datetime = await db.pool.fetchval(_LIMIT, keep)
    return [row["day"] for row in await db.pool.fetch(_DAYS) if _end_of(row["day"]) <= limit]


async def drop_day(db: Database, day: date) -> None:
    """Drop the partition of a day.

    What stays is copied before the table is locked, and nothing is added to a day that is over; so
    the lock, for which all events wait, is held for little more than a change of the catalog.

    Raises:
        LockNotAvailableError: The table is in use; another time, then.
    """
    await delete_loose(db, before=_end_of(day))
    name = name_of(day)
    async with db.transaction() as on:
        await on.execute(_COPY.format(day=name), timeout=COPY_S)
        await on.execute(f"set local lock_timeout = '{LOCK_S}s'")
        await on.execute(f"alter table job_events detach partition {name}")
        await on.execute("insert into job_events select * from kept_events", timeout=COPY_S)
        await on.execute(f"drop table {name}")


async def expired_loose(db: Database, keep: timedelta) -> int:
    """Return how many events of ended jobs, older than `keep`, the default partition has."""
    limit: datetime = await db.pool.fetchval(_LIMIT, keep)
    count: int = await db.pool.fetchval(f"select count(*) {_LOOSE}", limit)
    return count


async def delete_expired_loose(db: Database, keep: timedelta) -> int:
    """Delete those events; return how many."""
    return await delete_loose(db, before=await db.pool.fetchval(_LIMIT, keep))


async def delete_loose(db: Database, *, before: datetime) -> int:
    """Delete what ended jobs have in the default partition from before a moment, oldest first."""
    deleted = 0
    while rows := await db.pool.fetch(_DELETE_LOOSE, before, BATCH):
        deleted += len(rows)
    return deleted


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC)
