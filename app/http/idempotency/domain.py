"""Registration of idempotency keys."""

from __future__ import annotations

from functools import partial

from app.database.engine import Database
from app.domain import Domain, UserData
from app.http.idempotency import keys
from app.http.idempotency.keys import IdempotencyKeyRow
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services


async def _delete(services: Services, user_id: str, *, limit: int) -> int:
    return await keys.delete_all_of(services.get(Database), user_id, limit=limit)


def _tasks(services: Services) -> list[PeriodicTask]:
    return [PeriodicTask(partial(keys.purge, services.get(Database)), 60)]


DOMAIN = Domain(
    name="idempotency",
    tables=(IdempotencyKeyRow,),
    user_data=(
        UserData(
            label="idempotency keys of deleted users", tables=(IdempotencyKeyRow,), delete=_delete
        ),
    ),
    tasks=_tasks,
)
