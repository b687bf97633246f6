"""Registration of health checks, metrics and the page at `/`."""

from __future__ import annotations

from app.database.engine import Database
from app.domain import Domain
from app.http.auth import PROBE, PUBLIC
from app.operations import routes
from app.operations.service import ReadinessService
from app.runtime.services import Services
from app.runtime.shutdown import Shutdown
from app.storage import Storage


def _build(services: Services) -> list[object]:
    return [ReadinessService(services.get(Database), services.get(Storage), services.get(Shutdown))]


DOMAIN = Domain(
    name="operations",
    routers=(routes.router,),
    access={
        "GET /": PUBLIC,
        "GET /healthz": PROBE,
        "GET /readyz": PROBE,
        "GET /metrics": PROBE,
    },
    build=_build,
)
