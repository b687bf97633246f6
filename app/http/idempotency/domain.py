"""Registration of idempotency keys."""

from __future__ import annotations

from functools import partial

from app.database.engine import Database
from app.domain import Domain, UserData
from app.http.idempotency import queries
from app.http.idempotency.models import IdempotencyKeyRow
from app.http.idempotency.open_keys import OpenKeys
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services
from app.settings import Settings


def _build(services: Services) -> list[object]:
    return [OpenKeys(services.get(Settings).max_idempotency_keys_per_user)]


async def _delete(services: Services, user_id: str, *, limit: int) -> int:
    pool = services.get(Database).pool
    return await queries.DELETE_OF_USER.execute(pool, user_id=user_id, limit=limit)


async def _purge(db: Database) -> None:
    await queries.PURGE.execute(db.pool)


def _tasks(services: Services) -> list[PeriodicTask]:
    return [PeriodicTask(partial(_purge, services.get(Database)), 60)]


DOMAIN = Domain(
    name="idempotency",
    tables=(IdempotencyKeyRow,),
    build=_build,
    user_data=(
        UserData(
            label="idempotency keys of deleted users", tables=(IdempotencyKeyRow,), delete=_delete
        ),
    ),
    tasks=_tasks,
)
