"""Statements on the daily partitions of `job_events`."""

from __future__ import annotations

from datetime import date, timedelta

from app.database.statement import Connection, Executor, Scalar, Statement

_LOCK_ID = 7103452671

_TODAY = Scalar("select (clock_timestamp() at time zone 'UTC')::date", date)
# Not by to_regclass: its cache may be stale after the wait for the lock.
_EXISTS = Scalar(
    "select exists (select from pg_class where relname = :name and relkind = 'r')", bool
)
_DAYS = Scalar(
    """
select to_date(right(c.relname, 8), 'YYYYMMDD') as day
from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'job_events'::regclass and c.relname ~ '^job_events_[0-9]{8}$'
order by day""",
    date,
)
_LOCK = Statement(f"select pg_advisory_xact_lock({_LOCK_ID})")


def partition_name(day: date) -> str:
    """Return the name of the partition of a day."""
    return f"job_events_{day:%Y%m%d}"


async def today(on: Executor) -> date:
    """Return the current day in UTC, by PostgreSQL's clock."""
    return await _TODAY.only(on)


async def exists(on: Executor, day: date) -> bool:
    """Return True if a day has a partition."""
    return await _EXISTS.only(on, name=partition_name(day))


async def days(on: Executor) -> list[date]:
    """Return the days that have a partition, oldest first."""
    return await _DAYS.values(on)


async def limit_lock_waits(on: Connection, seconds: int) -> None:
    """Set `lock_timeout` for this transaction."""
    await Statement(f"set local lock_timeout = '{seconds}s'").execute(on)


async def lock(on: Connection) -> None:
    """Lock the creation of partitions until the end of the transaction."""
    await _LOCK.execute(on)


async def create(on: Connection, day: date) -> None:
    """Create the partition of a day.

    An empty table is attached, since CREATE TABLE … PARTITION OF would block writers.
    """
    name = partition_name(day)
    await Statement(
        f"create table {name} (like job_events including defaults including constraints "
        "including indexes)"
    ).execute(on)
    await Statement(
        f"alter table job_events attach partition {name} "
        f"for values from ('{day}T00:00:00Z') to ('{day + timedelta(days=1)}T00:00:00Z')"
    ).execute(on)


async def detach(on: Connection, day: date) -> None:
    """Detach the partition of a day; the table stays."""
    await Statement(f"alter table job_events detach partition {partition_name(day)}").execute(on)


async def drop(on: Connection, day: date) -> None:
    """Drop the table of a day."""
    await Statement(f"drop table {partition_name(day)}").execute(on)
