"""Registration of jobs."""

from __future__ import annotations

from app.database.engine import Database
from app.domain import Domain, UserData
from app.events.broadcaster import Hub
from app.http.auth import USER, USER_OR_JOB, Principal
from app.jobs import cleanup, event_routes, routes, webhook_routes
from app.jobs.models import JobRow
from app.jobs.service import Jobs
from app.queue.enqueue import Makings
from app.queue.transitions import Ledgers
from app.runtime.services import Services
from app.settings import Settings
from app.webhooks.service import WebhookService
from app.workers.service import WorkerService
from app.workflows.service import WorkflowService


def _build(services: Services) -> list[object]:
    return [
        Jobs(
            services.get(Database),
            services.get(Hub),
            services.get(Ledgers),
            services.get(Makings),
            services.get(WorkerService),
            services.get(WebhookService),
            services.get(WorkflowService),
            services.get(Settings),
        )
    ]


async def _find(services: Services, principal: Principal, job_id: str) -> object:
    return await services.get(Jobs).state(principal.user_id, job_id)


async def _delete(services: Services, user_id: str, *, limit: int) -> int:
    return await cleanup.delete_all_of(services.get(Database), user_id, limit=limit)


DOMAIN = Domain(
    name="jobs",
    routers=(routes.router, event_routes.router, webhook_routes.router),
    access={
        "POST /v1/workflows/{workflow_id}/run": USER_OR_JOB,
        "POST /v1/jobs": USER_OR_JOB,
        "POST /v1/jobs/batch": USER_OR_JOB,
        "GET /v1/jobs": USER_OR_JOB,
        "GET /v1/jobs/{job_id}": USER_OR_JOB,
        "DELETE /v1/jobs/{job_id}": USER,
        "POST /v1/jobs/{job_id}/cancel": USER_OR_JOB,
        "POST /v1/jobs/{job_id}/retry": USER,
        "GET /v1/jobs/{job_id}/events": USER_OR_JOB,
        "GET /v1/jobs/{job_id}/nodes": USER_OR_JOB,
        "GET /v1/jobs/{job_id}/webhooks": USER,
        "POST /v1/jobs/{job_id}/webhooks/{delivery_id}/redeliver": USER,
    },
    build=_build,
    path_lookups={"job_id": _find},
    user_data=(UserData(label="jobs of deleted users", tables=(JobRow,), delete=_delete),),
)
