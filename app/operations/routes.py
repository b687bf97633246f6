"""Routes for liveness, readiness and metrics."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.http.dependencies import Injected
from app.http.routing import SecuredRoute
from app.operations.schemas import Health, Readiness
from app.operations.service import ReadinessService

router = APIRouter(route_class=SecuredRoute, tags=["operations"])

ReadinessDep = Annotated[ReadinessService, Injected(ReadinessService)]


@router.get("/healthz")
async def healthz() -> Health:
    """Return 200 while the process is running."""
    return Health()


@router.get("/readyz")
async def readyz(readiness: ReadinessDep) -> Readiness:
    """Return 200 if the database, its schema and the storage can be used; a 503 has the reason."""
    await readiness.check()
    return Readiness()


@router.get("/metrics", response_class=Response)
async def read_metrics() -> Response:
    """Return the metrics of this replica in Prometheus' text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
