"""Registration of workers."""

from __future__ import annotations

from app.catalogue.service import CatalogueService
from app.database.engine import Database
from app.domain import Domain, UserData
from app.http.auth import WORKER, WORKER_OR_ADMIN, WORKER_POLL, WORKER_STREAM, Principal
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services
from app.settings import Settings
from app.workers import queries, routes
from app.workers.models import WorkerRow
from app.workers.service import WorkerService

FLUSH_SEEN_S = 1
DELETE_LOST_S = 60


def _build(services: Services) -> list[object]:
    return [
        WorkerService(
            services.get(Database), services.get(CatalogueService), services.get(Settings)
        )
    ]


async def _find(services: Services, principal: Principal, worker_id: str) -> object:
    return await services.get(WorkerService).registration(worker_id, principal)


async def _delete(services: Services, user_id: str, *, limit: int) -> int:
    return await queries.delete_of_user(services.get(Database).pool, user_id, limit=limit)


def _tasks(services: Services) -> list[PeriodicTask]:
    workers = services.get(WorkerService)
    return [
        PeriodicTask(workers.flush_seen, FLUSH_SEEN_S),
        PeriodicTask(workers.delete_lost, DELETE_LOST_S),
        PeriodicTask(workers.mark_catalogues_seen, DELETE_LOST_S),
    ]


DOMAIN = Domain(
    name="workers",
    routers=(routes.router,),
    access={
        "POST /v1/workers": WORKER,
        "GET /v1/workers": WORKER_OR_ADMIN,
        "POST /v1/workers/{worker_id}/heartbeat": WORKER_POLL,
        "PUT /v1/workers/{worker_id}/catalogue": WORKER_STREAM,
    },
    tables=(WorkerRow,),
    build=_build,
    path_lookups={"worker_id": _find},
    user_data=(UserData(label="workers of deleted users", tables=(WorkerRow,), delete=_delete),),
    tasks=_tasks,
)
