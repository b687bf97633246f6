"""Sweeper, which runs the cleanup of all domains, on one replica at a time.

The lock only saves work. A replica that loses its connection, and with it the lock, may finish its
cleanup beside that of another replica.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import attrgetter

import asyncpg

from app.cleanup import queries
from app.cleanup.buckets import bucket_steps
from app.database.engine import Database
from app.domain import Domains
from app.runtime.cleanup import CleanupReport, CleanupStep
from app.runtime.services import Services
from app.storage import StorageUnavailable

logger = logging.getLogger(__name__)


class Sweeper:
    """Runs the cleanup of a database and its buckets.

    Args:
        services: The settings, the database, the storage and the domains.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def run(self) -> None:
        """Clean up unless another replica does, and log the counts."""
        report = await self.sweep()
        if report is not None and report.did_something:
            found = ", ".join(f"{count} {label}" for label, count in report.counts.items() if count)
            logger.info("sweep removed or corrected: %s", found)

    async def sweep(self, *, dry: bool = False, force: bool = False) -> CleanupReport | None:
        """Clean up once; return None if another cleanup is running.

        Args:
            dry: Only count.
            force: Also act on an implausible number of differences between buckets and rows.
        """
        steps = [
            *self._services.get(Domains).cleanup(self._services),
            *bucket_steps(self._services, force=force),
        ]
        async with _lock(self._services.get(Database)) as is_locked:
            if not is_locked:
                return None
            report = CleanupReport(is_dry=dry)
            for step in sorted(steps, key=attrgetter("phase")):
                await _run(step, report)
        return report


async def _run(step: CleanupStep, report: CleanupReport) -> None:
    try:
        await step.run(report)
    except StorageUnavailable:
        report.problem("storage cannot be reached: the next sweep continues")
    except asyncpg.ForeignKeyViolationError as exc:
        report.problem(
            f"rows are still referenced by table {exc.table_name}: the next sweep tries again"
        )


@asynccontextmanager
async def _lock(db: Database) -> AsyncIterator[bool]:
    """Hold the lock during the block; yield False if another cleanup holds it.

    The lock has a connection of its own, so that it ends with the process.
    """
    connection = await db.connect()
    try:
        is_locked = await queries.try_lock(connection)
        yield is_locked
        if is_locked:
            await queries.unlock(connection)
    finally:
        connection.terminate()
