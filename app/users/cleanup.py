"""Deletion of the data of deleted users, and then of the users."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

from app.database.engine import Database
from app.domain import Domains
from app.runtime.cleanup import CleanupReport
from app.runtime.services import Services
from app.users import queries

BATCH = 200


class UserDeletion:
    """Deletes the users who were deleted some time ago, with all of their data.

    Args:
        services: The services of all domains that have data of users.
        grace: The time after which no request of a deleted user is running.
    """

    def __init__(self, services: Services, *, grace: timedelta) -> None:
        self._services = services
        self._db = services.get(Database)
        self._grace = grace

    async def clean_up(self, report: CleanupReport) -> None:
        """Delete the users, or only count them."""
        report.count("deleted users", 0)
        async for user_id in self._deleted():
            if report.is_dry:
                report.count("deleted users", 1)
            else:
                await self._delete(user_id, report)

    async def _deleted(self) -> AsyncIterator[str]:
        after = ""
        while ids := await queries.deleted(
            self._db.pool, before=self._grace, after=after, limit=BATCH
        ):
            for user_id in ids:
                yield user_id
            after = ids[-1]

    async def _delete(self, user_id: str, report: CleanupReport) -> None:
        """Delete a user's data in small transactions, and then the user."""
        for data in self._services.get(Domains).user_data:
            while deleted := await data.delete(self._services, user_id, limit=BATCH):
                report.count(data.label, deleted)
        await queries.remove(self._db.pool, user_id)
        report.count("deleted users", 1)
