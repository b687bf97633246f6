"""Readiness: whether this replica can serve requests."""

from __future__ import annotations

import asyncio
import logging

from app.database import migrate
from app.database.engine import Database
from app.database.errors import is_out_of_resources
from app.operations.errors import NotReady
from app.runtime.shutdown import Shutdown
from app.storage import Storage

logger = logging.getLogger(__name__)

CHECK_TIMEOUT_S = 5


class ReadinessService:
    """Checks the database, its schema and the storage."""

    def __init__(self, db: Database, storage: Storage, shutdown: Shutdown) -> None:
        self._db = db
        self._storage = storage
        self._shutdown = shutdown

    async def check(self) -> None:
        """Check that this replica can serve requests.

        Raises:
            NotReady: It cannot.
        """
        found = await asyncio.gather(self._database_problem(), self._storage_problem())
        stopping = "the replica is shutting down" if self._shutdown.has_begun else None
        problems = [problem for problem in (stopping, *found) if problem is not None]
        if problems:
            raise NotReady("; ".join(problems))

    async def _database_problem(self) -> str | None:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await self._db.check()
                return migrate.problem(await migrate.current(self._db.pool))
        except Exception as exc:
            logger.warning("readiness: database: %s", exc)
            if is_out_of_resources(exc):
                return "the database has no disk space or memory left"
            return "the database cannot be reached"

    async def _storage_problem(self) -> str | None:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await self._storage.check()
        except Exception as exc:
            logger.warning("readiness: storage: %s", exc)
            return "the storage cannot be reached"
        return None
