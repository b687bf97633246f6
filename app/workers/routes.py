"""Routes to register and list workers, and for their heartbeats."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from app.http.auth import PrincipalDep
from app.http.dependencies import Injected
from app.http.idempotency.dependencies import IdempotencyKeyDep, replayed
from app.http.pagination import PageDep, list_response
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
SettingsDep = Annotated[Settings, Injected(Settings)]


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
    )


@router.get("", response_model=WorkerList)
async def list_workers(workers: Workers, principal: PrincipalDep, page: PageDep) -> Response:
    """List the caller's workers, newest first."""
    rows, following = await workers.page(principal.user_id, page)
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
