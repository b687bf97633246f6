"""Routes of workers that touch jobs: claim, and what the token of a lease may do."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from app.http.auth import PrincipalDep
from app.http.problems import ProblemError, problem
from app.http.routing import SecuredRoute
from app.jobs.dependencies import ClaimsDep, LeasesDep, WorkersDep
from app.jobs.schemas import dumps, lease_json
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


@router.post("/workers/{worker_id}/claim", response_model=LeaseList)
async def claim_jobs(
    worker_id: str,
    claims: ClaimsDep,
    principal: PrincipalDep,
    request: Request,
    body: ClaimRequest | None = None,
) -> Response:
    """Ask for jobs, waiting up to `wait_s` for the first one."""
    wanted = body or ClaimRequest()
    gone = asyncio.Event()
    listening = asyncio.create_task(_set_when_gone(request, gone))
    try:
        leases = await claims.claim(
            worker_id, principal, wait_s=wanted.wait_s, max_jobs=wanted.max_jobs, gone=gone
        )
    finally:
        listening.cancel()
    answer = {"leases": [lease_json(lease.row, lease.token) for lease in leases]}
    return Response(dumps(answer), media_type="application/json")


@router.post("/workers/{worker_id}/events", response_model=WorkerEventsAccepted)
async def post_events_of_jobs(
    worker_id: str,
    leases: LeasesDep,
    workers: WorkersDep,
    principal: PrincipalDep,
    body: WorkerEvents,
) -> Response:
    """Store events of several jobs, as `POST /v1/jobs/{job_id}/events` does for one.

    One job's refusal is its own: the others are stored.
    """
    await workers.claimant(worker_id, principal)
    found = await leases.post_all(body.jobs)
    return _reply(WorkerEventsAccepted(jobs=[_answer(job_id, each) for job_id, each in found]))


@router.delete("/workers/{worker_id}", status_code=204)
async def remove_worker(worker_id: str, claims: ClaimsDep, principal: PrincipalDep) -> None:
    """Remove a worker at once; its jobs go back to the queue, no attempt counted."""
    await claims.remove_worker(worker_id, principal)


@router.post("/jobs/{job_id}/events", response_model=EventsAccepted)
async def post_events(
    job_id: str, leases: LeasesDep, principal: PrincipalDep, body: EventBatch
) -> Response:
    """Store events and renew the lease; what was sent before is stored once."""
    return _reply(await leases.post(principal, job_id, body.events))


@router.post("/jobs/{job_id}/heartbeat", response_model=HeartbeatReply)
async def lease_heartbeat(job_id: str, leases: LeasesDep, principal: PrincipalDep) -> Response:
    """Renew the lease, and learn whether the job is to be cancelled."""
    return _reply(await leases.heartbeat(principal, job_id))


@router.post("/jobs/{job_id}/release", status_code=204)
async def release_job(job_id: str, leases: LeasesDep, principal: PrincipalDep) -> None:
    """Give the job back to the queue, no attempt counted."""
    await leases.release(principal, job_id)


def _reply(model: BaseModel) -> Response:
    return Response(model.model_dump_json(), media_type="application/json")


def _answer(job_id: str, found: EventsAccepted | ProblemError) -> JobEventsAnswer:
    if isinstance(found, ProblemError):
        return JobEventsAnswer(job_id=job_id, problem=problem(found, instance=None))
    return JobEventsAnswer(job_id=job_id, **dict(found))


async def _set_when_gone(request: Request, gone: asyncio.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
    gone.set()
