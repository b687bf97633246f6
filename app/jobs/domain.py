"""Registration of jobs."""

from __future__ import annotations

from datetime import timedelta

from app.catalogue.service import CatalogueService
from app.database.engine import Database
from app.domain import Domain, UserData
from app.events.broadcaster import Broadcaster
from app.events.event_stream import EventStreams
from app.events.models import JobRow
from app.http.auth import USER, USER_OR_JOB, Principal
from app.jobs import cleanup, event_routes, routes, webhook_routes
from app.jobs.cancellation import JobCancellation
from app.jobs.event_pages import EventPages
from app.jobs.job_specs import JobSpecs
from app.jobs.queue_reason import QueueReasons
from app.jobs.responses import JobResponses
from app.jobs.service import JobService
from app.queue.enqueue import Enqueuer
from app.queue.transitions import JobTransactions
from app.queue.user_turns import UserTurns
from app.runtime.cleanup import CleanupPhase, CleanupStep, deletion
from app.runtime.services import Services
from app.runtime.shutdown import Shutdown
from app.settings import Settings
from app.webhooks.service import WebhookService
from app.workers.service import WorkerService
from app.workflows.graphs import Graphs
from app.workflows.service import WorkflowService

BATCH = 100
"""Jobs that one transaction deletes; each may have thousands of events."""


def _build(services: Services) -> list[object]:
    db, streams = services.get(Database), services.get(EventStreams)
    settings = services.get(Settings)
    user_limit = settings.max_running_jobs_per_user
    graphs = services.get(Graphs)
    jobs = JobService(
        db,
        services.get(Enqueuer),
        graphs,
        JobSpecs(
            services.get(WorkflowService),
            graphs,
            services.get(CatalogueService),
            services.get(WebhookService),
            settings,
        ),
        QueueReasons(
            db, services.get(WorkerService), services.get(UserTurns), user_limit=user_limit
        ),
        settings,
    )
    pages = EventPages(jobs, services.get(Broadcaster), streams, services.get(Shutdown))
    cancellation = JobCancellation(services.get(JobTransactions))
    return [jobs, cancellation, pages, JobResponses(jobs, pages, streams)]


async def _find(services: Services, principal: Principal, job_id: str) -> object:
    return await services.get(JobService).state(principal.user_id, job_id)


async def _delete(services: Services, user_id: str, *, limit: int) -> int:
    return await cleanup.delete_of_user(services.get(Database), user_id, limit=limit)


def _cleanup(services: Services) -> list[CleanupStep]:
    db, days = services.get(Database), services.get(Settings).job_retention_days
    if not days:
        return []
    keep = timedelta(days=days)
    return [
        deletion(
            CleanupPhase.RECORDS,
            "expired jobs",
            count=lambda: cleanup.count_expired(db, keep),
            delete=lambda limit: cleanup.delete_expired(db, keep, limit=min(limit, BATCH)),
        )
    ]


DOMAIN = Domain(
    name="jobs",
    routers=(routes.router, event_routes.router, webhook_routes.router),
    access={
        "POST /v1/workflows/{workflow_id}/run": USER_OR_JOB,
        "POST /v1/jobs": USER_OR_JOB,
        "POST /v1/jobs/batch": USER_OR_JOB,
        "POST /v1/jobs/cancel": USER_OR_JOB,
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
    cleanup=_cleanup,
    path_lookups={"job_id": _find},
    user_data=(UserData(label="jobs of deleted users", tables=(JobRow,), delete=_delete),),
)
