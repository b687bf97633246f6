"""Deletion of the data of deleted users, and then of the users."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

from app.database.engine import Database
from app.domain import Domains
from app.runtime.services import Services
from app.users import cleanup as users
from app.workers import cleanup as workers

BATCH = 200


async def deleted(db: Database, grace: timedelta) -> AsyncIterator[str]:
    """Yield the users who were deleted at least `grace` ago: no request of theirs is running."""
    after = ""
    while ids := await users.deleted(db, before=grace, after=after, limit=BATCH):
        for user_id in ids:
            yield user_id
        after = ids[-1]


async def remove(services: Services, user_id: str, count: Callable[[str, int], None]) -> None:
    """Remove a deleted user and all of their data, in small transactions."""
    for data in services.get(Domains).user_data:
        while removed := await data.delete(services, user_id, limit=BATCH):
            count(data.label, removed)
    db = services.get(Database)
    # A worker of theirs may still run another user's job: the next sweep removes it and the user.
    if not await workers.are_left(db, user_id):
        await users.forget(db, user_id)
        count("deleted users", 1)
