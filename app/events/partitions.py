"""Creation of the daily partitions of `job_events`, ahead of time and in UTC."""

from __future__ import annotations

import logging
from datetime import date, timedelta

import asyncpg

from app.database.engine import Database
from app.events import partition_queries as queries

logger = logging.getLogger(__name__)

DAYS_AHEAD = 3
LOCK_TIMEOUT_S = 5


async def create_partitions(db: Database) -> None:
    """Create the missing partitions, from yesterday to some days ahead.

    Yesterday's partition is for events that are dated before midnight but stored after it. Events
    of a day without a partition are stored in the default partition.
    """
    today = await queries.today(db.pool)
    for offset in range(-1, DAYS_AHEAD + 1):
        await create_partition(db, today + timedelta(days=offset))


async def create_partition(db: Database, day: date) -> None:
    """Create the partition of a day if it is missing; log a warning if that is impossible now."""
    if await queries.exists(db.pool, day):
        return
    try:
        async with db.transaction() as on:
            await queries.limit_lock_waits(on, LOCK_TIMEOUT_S)
            await queries.lock(on)
            if not await queries.exists(on, day):
                await queries.create(on, day)
    except asyncpg.CheckViolationError:
        logger.warning("cannot create a partition for %s: the default one has events of it", day)
    except asyncpg.LockNotAvailableError:
        logger.warning("cannot create a partition for %s yet: the table is locked", day)
