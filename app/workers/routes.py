"""Routes to register and list workers, and for their heartbeats."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.catalogue.service import CatalogueService
from app.http.auth import PrincipalDep
from app.http.dependencies import Injected
from app.http.idempotency.dependencies import IdempotencyKeyDep, replayed
from app.http.json_threads import JsonThreads
from app.http.pagination import PageDep, list_response
from app.http.problems import Forbidden
from app.http.request_body import JsonRequest, limited
from app.http.responses import json_response
from app.http.routing import SecuredRoute
from app.settings import Settings
from app.workers.schemas import worker_fields
from app.workers.service import WorkerService
from processing_context.wire.workers import (
    Worker,
    WorkerCreate,
    WorkerHeartbeat,
    WorkerList,
    WorkerRegistered,
)

router = APIRouter(prefix="/v1/workers", route_class=SecuredRoute, tags=["workers"])

Workers = Annotated[WorkerService, Injected(WorkerService)]
Catalogues = Annotated[CatalogueService, Injected(CatalogueService)]
Threads = Annotated[JsonThreads, Injected(JsonThreads)]
SettingsDep = Annotated[Settings, Injected(Settings)]

_CATALOGUE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/WorkerCatalogue"}}
        },
    }
}


@router.post("", status_code=201)
async def register_worker(
    key: IdempotencyKeyDep,
    workers: Workers,
    principal: PrincipalDep,
    body: WorkerCreate,
    settings: SettingsDep,
    response: Response,
) -> WorkerRegistered:
    """Register a worker. A worker registers at each start."""
    worker_id, is_replay = await workers.register(principal, body, key)
    if is_replay:
        replayed(response)
    return WorkerRegistered(
        id=worker_id,
        lease_ttl_s=settings.lease_ttl_s,
        heartbeat_interval_s=settings.heartbeat_interval_s,
        wants_catalogue=body.catalogue is not None
        and await workers.wants_catalogue(worker_id, principal),
    )


@router.get("", response_model=WorkerList)
async def list_workers(
    workers: Workers,
    principal: PrincipalDep,
    page: PageDep,
    of_all: Annotated[bool, Query(alias="all")] = False,
) -> Response:
    """List the caller's workers, newest first; with `all`, an admin lists those of all users."""
    if of_all and not principal.is_admin:
        raise Forbidden("Only a token with the scope `admin` lists the workers of all users.")
    rows, following = await workers.page(None if of_all else principal.user_id, page)
    return list_response(
        "workers", rows, following, fields=worker_fields, key=lambda worker: worker.id
    )


@router.post("/{worker_id}/heartbeat", response_model=Worker)
async def worker_heartbeat(
    worker_id: str,
    workers: Workers,
    principal: PrincipalDep,
    body: WorkerHeartbeat | None = None,
) -> Response:
    """Report that a worker is alive, and whether it accepts new jobs."""
    draining = body.draining if body else None
    worker = await workers.heartbeat(worker_id, principal, draining=draining)
    return json_response(worker_fields(worker))


@router.put("/{worker_id}/catalogue", status_code=204, openapi_extra=_CATALOGUE)
async def put_catalogue(
    worker_id: str,
    request: Request,
    workers: Workers,
    catalogues: Catalogues,
    principal: PrincipalDep,
    threads: Threads,
    settings: SettingsDep,
) -> None:
    """Store the descriptions of the worker's nodes, which must have the registered hash."""
    nodes = await workers.catalogue_of(worker_id, principal)
    receive = limited(request, settings.max_catalogue_bytes)
    body = await JsonRequest(request.scope, receive, threads, model=None).body()
    await catalogues.store(worker_id, nodes, body)
