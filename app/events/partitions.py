"""One partition of `job_events` a day, made ahead of time."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta

import asyncpg

from app.core.db import Connection, Database

logger = logging.getLogger(__name__)

DAYS_AHEAD = 3
LOCK_ID = 7103452671


async def make_partitions(db: Database) -> None:
    """Make the partitions from yesterday to some days ahead, where they are missing.

    Yesterday, since clocks differ. What has no partition goes into the default one, so nothing is
    ever refused.
    """
    today = datetime.now(UTC).date()
    for offset in range(-1, DAYS_AHEAD + 1):
        await _make(db, today + timedelta(days=offset))


async def _make(db: Database, day: date) -> None:
    name = f"job_events_{day:%Y%m%d}"
    if await db.pool.fetchval("select to_regclass($1)", name) is not None:
        return
    try:
        async with db.transaction() as connection:
            await connection.execute("set local lock_timeout = '5s'")
            await connection.execute("select pg_advisory_xact_lock($1)", LOCK_ID)
            if await connection.fetchval("select to_regclass($1)", name) is None:
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
