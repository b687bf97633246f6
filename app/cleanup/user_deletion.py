"""Users who were deleted: first what is theirs, then they themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial

from app.assets import cleanup as assets
from app.database.engine import Database
from app.http import idempotency
from app.jobs import cleanup as jobs
from app.storage import Storage
from app.temp import cleanup as temp
from app.users import cleanup as users
from app.workers import cleanup as workers
from app.workflows import cleanup as workflows

BATCH = 200

Removal = Callable[..., Awaitable[int]]


def _removals(db: Database, storage: Storage) -> dict[str, Removal]:
    """Return what removes some of a user's rows; jobs first, as they use the rest."""
    return {
        "jobs of deleted users": partial(jobs.delete_all_of, db),
        "temporary files of deleted users": partial(temp.delete_all_of, db, storage),
        "assets of deleted users": partial(assets.delete_all_of, db, storage),
        "workflows of deleted users": partial(workflows.delete_all_of, db),
        "workers of deleted users": partial(workers.delete_all_of, db),
        "idempotency keys of deleted users": partial(idempotency.delete_all_of, db),
    }


async def deleted(db: Database, grace: timedelta) -> AsyncIterator[str]:
    """Yield the users who have been locked out for `grace`: no request of theirs is left."""
    after = ""
    while ids := await users.deleted(db, before=grace, after=after, limit=BATCH):
        for user_id in ids:
            yield user_id
        after = ids[-1]


async def remove(
    db: Database, storage: Storage, user_id: str, count: Callable[[str, int], None]
) -> None:
    """Remove a deleted user and all that is his, in small transactions."""
    for what, some_of in _removals(db, storage).items():
        while removed := await some_of(user_id, limit=BATCH):
            count(what, removed)
    # Until then he is only locked out; the next sweep ends it.
    if not await workers.are_left(db, user_id):
        await users.forget(db, user_id)
        count("deleted users", 1)
