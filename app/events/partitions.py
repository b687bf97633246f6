"""One partition of `job_events` a day (of UTC, by PostgreSQL's clock), made ahead of time."""

from __future__ import annotations

import logging
from datetime import date, timedelta

import asyncpg

from app.database.engine import Database
from app.database.statement import Connection

logger = logging.getLogger(__name__)

DAYS_AHEAD = 3
LOCK_ID = 7103452671

# Not by to_regclass: its cache may be older than the wait for the lock.
_IS_THERE = "select exists (select from pg_class where relname = $1 and relkind = 'r')"
_TODAY = "select (clock_timestamp() at time zone 'UTC')::date"


def name_of(day: date) -> str:
    """Return the name of a day's partition."""
    return f"job_events_{day:%Y%m%d}"


async def make_partitions(db: Database) -> None:
    """Make the partitions from yesterday to some days ahead, where they are missing.

    Yesterday, for what was dated before midnight and is stored after it. What has no partition goes
    into the default one, so nothing is ever refused.
    """
    today: date = await db.pool.fetchval(_TODAY)
    for offset in range(-1, DAYS_AHEAD + 1):
        await make(db, today + timedelta(days=offset))


async def make(db: Database, day: date) -> None:
    """Make the partition of a day, if it is missing; when that cannot be done now, say so."""
    name = name_of(day)
    if await db.pool.fetchval(_IS_THERE, name):
        return
    try:
        async with db.transaction() as connection:
            await connection.execute("set local lock_timeout = '5s'")
            await connection.execute("select pg_advisory_xact_lock($1)", LOCK_ID)
            if not await connection.fetchval(_IS_THERE, name):
                await _attach(connection, name, day)
    except asyncpg.CheckViolationError:
        logger.warning("events of %s are in the default partition and stay there", day)
    except asyncpg.LockNotAvailableError:
        logger.warning("no partition for %s yet: the table is busy", day)


async def _attach(connection: Connection, name: str, day: date) -> None:
    """Attach an empty table: unlike CREATE … PARTITION OF, that does not lock out writers."""
    await connection.execute(
        f"create table {name} (like job_events including defaults including constraints "
        "including indexes)"
    )
    await connection.execute(
        f"alter table job_events attach partition {name} "
        f"for values from ('{day}T00:00:00Z') to ('{day + timedelta(days=1)}T00:00:00Z')"
    )
