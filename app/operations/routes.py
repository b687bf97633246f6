"""Routes for liveness, readiness, metrics, and what the service is."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.http.auth import bearer_token
from app.http.dependencies import Injected
from app.http.headers import header
from app.http.problems import Unauthorized
from app.http.responses import json_response
from app.http.routing import SecuredRoute
from app.operations.home import page, wants_html
from app.operations.schemas import Health, Home, Readiness
from app.operations.service import ReadinessService
from app.settings import Settings

router = APIRouter(route_class=SecuredRoute, tags=["operations"])

ReadinessDep = Annotated[ReadinessService, Injected(ReadinessService)]


@router.get(
    "/",
    response_model=Home,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
)
async def get_home(request: Request) -> Response:
    """Return the name, the version and the paths of this server: HTML for browsers, else JSON."""
    home = Home()
    is_html = wants_html(header(request.scope, b"accept"))
    response = HTMLResponse(page(home)) if is_html else json_response(home)
    response.headers["Vary"] = "Accept"
    return response


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
async def read_metrics(
    request: Request, settings: Annotated[Settings, Injected(Settings)]
) -> Response:
    """Return the metrics of this replica in Prometheus' text format.

    If `CONTEXT_METRICS_TOKEN` is set, it is the bearer token of this route.
    """
    if settings.metrics_token is not None:
        _check_token(bearer_token(request), settings.metrics_token.get_secret_value())
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _check_token(given: str | None, expected: str) -> None:
    """Check the token of a request for metrics, in constant time.

    Raises:
        Unauthorized: It is missing or wrong.
    """
    if given is None or not secrets.compare_digest(given.encode(), expected.encode()):
        raise Unauthorized("Send `Authorization: Bearer <token>` with CONTEXT_METRICS_TOKEN.")
