"""The sweeper: runs the cleanup of all domains, on one replica at a time.

Correctness does not depend on the lock: a replica that loses its connection, and the lock with it,
does no harm while it ends.
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
    """Cleans up one database and its buckets.

    Args:
        services: The settings, the database, the storage and the domains.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def run(self) -> None:
        """Clean up unless another replica does; log what was found."""
        report = await self.sweep()
        if report is not None and report.did_something:
            found = ", ".join(f"{count} {label}" for label, count in report.counts.items() if count)
            logger.info("swept: %s", found)

    async def sweep(self, *, dry: bool = False, force: bool = False) -> CleanupReport | None:
        """Clean up once; return None when another cleanup is running.

        Args:
            dry: Only count what would be done.
            force: Believe that most objects of a bucket have no row, or most rows no object.
        """
        steps = [
            *self._services.get(Domains).cleanup(self._services),
            *bucket_steps(self._services, force=force),
        ]
        async with _lock(self._services.get(Database)) as is_ours:
            if not is_ours:
                return None
            report = CleanupReport(is_dry=dry)
            for step in sorted(steps, key=attrgetter("phase")):
                await _run(step, report)
        return report


async def _run(step: CleanupStep, report: CleanupReport) -> None:
    try:
        await step.run(report)
    except StorageUnavailable:
        report.problem("storage does not answer: the rest is for the next sweep")
    except asyncpg.ForeignKeyViolationError as exc:
        report.problem(f"{exc.table_name}: still in use, left for the next sweep")


@asynccontextmanager
async def _lock(db: Database) -> AsyncIterator[bool]:
    """Hold the lock on a connection of its own, so that it ends with the process."""
    connection = await db.connect()
    try:
        is_ours = await queries.try_lock(connection)
        yield is_ours
        if is_ours:
            await queries.unlock(connection)
    finally:
        connection.terminate()
