"""Registration of the node catalogue."""

from __future__ import annotations

from app.catalogue import routes
from app.catalogue.models import CatalogueRow, NodeTypeRow
from app.catalogue.service import CatalogueService
from app.catalogue.versions import NodeVersions
from app.database.engine import Database
from app.database.notifications import Notifications
from app.domain import Domain
from app.http.auth import USER_OR_JOB
from app.http.json_threads import JsonThreads
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services
from app.settings import Settings
from processing_context.wire.nodes import WorkerCatalogue

DELETE_UNSEEN_S = 3600


def _build(services: Services) -> list[object]:
    db, settings = services.get(Database), services.get(Settings)
    versions = NodeVersions(
        db, services.get(Notifications), max_cached_bytes=settings.catalogue_cache_bytes
    )
    return [CatalogueService(db, versions, services.get(JsonThreads), settings)]


def _tasks(services: Services) -> list[PeriodicTask]:
    return [PeriodicTask(services.get(CatalogueService).delete_unseen, DELETE_UNSEEN_S)]


DOMAIN = Domain(
    name="catalogue",
    routers=(routes.router,),
    schemas=(WorkerCatalogue,),
    access={"GET /v1/nodes": USER_OR_JOB},
    tables=(CatalogueRow, NodeTypeRow),
    build=_build,
    tasks=_tasks,
)
