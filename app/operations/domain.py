"""Registration of health checks and metrics."""

from __future__ import annotations

from app.domain import Domain
from app.http.auth import PUBLIC
from app.operations import routes

DOMAIN = Domain(
    name="operations",
    routers=(routes.router,),
    access={"GET /healthz": PUBLIC, "GET /readyz": PUBLIC, "GET /metrics": PUBLIC},
)
