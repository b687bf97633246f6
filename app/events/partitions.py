"""Partitions of `job_events`, one for each day of UTC, created ahead of time."""

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
    """Create the missing partitions from yesterday to some days ahead.

    Yesterday's is for events that are dated before midnight and stored after it. Events of a day
    without a partition go into the default one, so no event is ever refused.
    """
    today = await queries.today(db.pool)
    for offset in range(-1, DAYS_AHEAD + 1):
        await create_partition(db, today + timedelta(days=offset))


async def create_partition(db: Database, day: date) -> None:
    """Create the partition of a day if it is missing; log it when that is not possible now."""
    if await queries.exists(db.pool, day):
        return
    try:
        async with db.transaction() as on:
            await queries.limit_lock_waits(on, LOCK_TIMEOUT_S)
            await queries.lock(on)
            if not await queries.exists(on, day):
                await queries.create(on, day)
    except asyncpg.CheckViolationError:
        logger.warning("events of %s are in the default partition and stay there", day)
    except asyncpg.LockNotAvailableError:
        logger.warning("no partition for %s yet: the table is busy", day)
