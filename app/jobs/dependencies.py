"""What the routes of jobs are given."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.events.broadcaster import Hub
from app.jobs.service import Jobs
from app.queue.claim import Claims
from app.queue.leases import Leases
from app.runtime.shutdown import Shutdown
from app.workers.service import Workers


async def _jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    return jobs


async def _leases(request: Request) -> Leases:
    leases: Leases = request.app.state.leases
    return leases


async def _claims(request: Request) -> Claims:
    claims: Claims = request.app.state.claims
    return claims


async def _hub(request: Request) -> Hub:
    hub: Hub = request.app.state.hub
    return hub


async def _shutdown(request: Request) -> Shutdown:
    shutdown: Shutdown = request.app.state.shutdown
    return shutdown


async def _workers(request: Request) -> Workers:
    workers: Workers = request.app.state.workers
    return workers


JobsDep = Annotated[Jobs, Depends(_jobs)]
LeasesDep = Annotated[Leases, Depends(_leases)]
ClaimsDep = Annotated[Claims, Depends(_claims)]
HubDep = Annotated[Hub, Depends(_hub)]
ShutdownDep = Annotated[Shutdown, Depends(_shutdown)]
WorkersDep = Annotated[Workers, Depends(_workers)]
