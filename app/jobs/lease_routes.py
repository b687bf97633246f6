"""Routes of workers that touch jobs: claim, and what the token of a lease may do."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from app.core.auth import PrincipalDep, SecuredRoute
from app.jobs.dependencies import ClaimsDep, LeasesDep
from processing_context.wire.events import EventBatch, EventsAccepted
from processing_context.wire.workers import ClaimRequest, HeartbeatReply, LeaseList

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["workers"])


@router.post("/workers/{worker_id}/claim")
async def claim_jobs(
    worker_id: str,
    claims: ClaimsDep,
    principal: PrincipalDep,
    request: Request,
    body: ClaimRequest | None = None,
) -> LeaseList:
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
    return LeaseList(leases=leases)


@router.delete("/workers/{worker_id}", status_code=204)
async def remove_worker(worker_id: str, claims: ClaimsDep, principal: PrincipalDep) -> None:
    """Remove a worker at once; its jobs go back to the queue, no attempt counted."""
    await claims.remove_worker(worker_id, principal)


@router.post("/jobs/{job_id}/events")
async def post_events(
    job_id: str, leases: LeasesDep, principal: PrincipalDep, body: EventBatch
) -> EventsAccepted:
    """Store events and renew the lease; what was sent before is stored once."""
    return await leases.post(principal, job_id, body.events)


@router.post("/jobs/{job_id}/heartbeat")
async def lease_heartbeat(
    job_id: str, leases: LeasesDep, principal: PrincipalDep
) -> HeartbeatReply:
    """Renew the lease, and learn whether the job is to be cancelled."""
    return await leases.heartbeat(principal, job_id)


@router.post("/jobs/{job_id}/release", status_code=204)
async def release_job(job_id: str, leases: LeasesDep, principal: PrincipalDep) -> None:
    """Give the job back to the queue, no attempt counted."""
    await leases.release(principal, job_id)


async def _set_when_gone(request: Request, gone: asyncio.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
    gone.set()
