"""Routes for workers: claims, and requests with the token of a lease."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Request, Response

from app.http.auth import PrincipalDep
from app.http.dependencies import Injected
from app.http.problems import ProblemError, problem
from app.http.responses import json_response
from app.http.routing import SecuredRoute
from app.queue.claim import ClaimService
from app.queue.leases import LeaseService
from app.queue.schemas import lease_json
from app.queue.worker_removal import WorkerRemoval
from processing_context.wire.events import EventBatch, EventsAccepted
from processing_context.wire.workers import (
    ClaimRequest,
    HeartbeatReply,
    JobEventsAnswer,
    LeaseList,
    WorkerEvents,
    WorkerEventsAccepted,
)

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["workers"])

Claims = Annotated[ClaimService, Injected(ClaimService)]
Leases = Annotated[LeaseService, Injected(LeaseService)]
Removal = Annotated[WorkerRemoval, Injected(WorkerRemoval)]


@router.post("/workers/{worker_id}/claim", response_model=LeaseList)
async def claim_jobs(
    worker_id: str,
    claims: Claims,
    principal: PrincipalDep,
    request: Request,
    body: ClaimRequest | None = None,
) -> Response:
    """Claim jobs, waiting up to `wait_s` for the first one."""
    wanted = body or ClaimRequest()
    disconnected = asyncio.Event()
    listening = asyncio.create_task(_set_when_disconnected(request, disconnected))
    try:
        leased = await claims.claim(
            worker_id,
            principal,
            wait_s=wanted.wait_s,
            max_jobs=wanted.max_jobs,
            disconnected=disconnected,
        )
    finally:
        listening.cancel()
    return json_response({"leases": [lease_json(each) for each in leased]})


@router.post("/workers/{worker_id}/events", response_model=WorkerEventsAccepted)
async def post_events_of_jobs(
    worker_id: str, leases: Leases, principal: PrincipalDep, body: WorkerEvents
) -> Response:
    """Store events of several jobs, as `POST /v1/jobs/{job_id}/events` does for one job.

    The batch of each job succeeds or fails on its own.
    """
    results = await leases.post_events_of_jobs(principal, worker_id, body.jobs)
    answers = [_answer(job_id, result) for job_id, result in results]
    return json_response(WorkerEventsAccepted(jobs=answers))


@router.delete("/workers/{worker_id}", status_code=204)
async def remove_worker(worker_id: str, removal: Removal, principal: PrincipalDep) -> None:
    """Remove a worker at once; its jobs are requeued without counting the attempts."""
    await removal.remove(worker_id, principal)


@router.post("/jobs/{job_id}/events", response_model=EventsAccepted)
async def post_events(
    job_id: str, leases: Leases, principal: PrincipalDep, body: EventBatch
) -> Response:
    """Store events and renew the lease; events that are already stored are skipped."""
    return json_response(await leases.post_events(principal, job_id, body.events))


@router.post("/jobs/{job_id}/heartbeat", response_model=HeartbeatReply)
async def lease_heartbeat(job_id: str, leases: Leases, principal: PrincipalDep) -> Response:
    """Renew the lease; the response says whether the job is to be cancelled."""
    return json_response(await leases.heartbeat(principal, job_id))


@router.post("/jobs/{job_id}/release", status_code=204)
async def release_job(job_id: str, leases: Leases, principal: PrincipalDep) -> None:
    """Release the job: it is requeued without counting the attempt."""
    await leases.release(principal, job_id)


def _answer(job_id: str, result: EventsAccepted | ProblemError) -> JobEventsAnswer:
    if isinstance(result, ProblemError):
        return JobEventsAnswer(job_id=job_id, problem=problem(result, instance=None))
    return JobEventsAnswer(job_id=job_id, **dict(result))


async def _set_when_disconnected(request: Request, disconnected: asyncio.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
    disconnected.set()
