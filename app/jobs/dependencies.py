"""What the routes of jobs are given."""

from __future__ import annotations

from typing import Annotated

from app.events.broadcaster import Hub
from app.http.dependencies import Injected
from app.jobs.service import Jobs
from app.queue.claim import Claims
from app.queue.leases import Leases
from app.runtime.shutdown import Shutdown
from app.workers.service import WorkerService

JobsDep = Annotated[Jobs, Injected(Jobs)]
LeasesDep = Annotated[Leases, Injected(Leases)]
ClaimsDep = Annotated[Claims, Injected(Claims)]
HubDep = Annotated[Hub, Injected(Hub)]
ShutdownDep = Annotated[Shutdown, Injected(Shutdown)]
WorkersDep = Annotated[WorkerService, Injected(WorkerService)]
