"""Registration of the job queue."""

from __future__ import annotations

from functools import partial

from app.database.engine import Database
from app.database.notifications import Notifications
from app.domain import Domain
from app.events.broadcaster import Hub
from app.http.auth import LEASE, WORKER
from app.jobs.models import JobRow, LeaseRow
from app.queue import lease_queries, routes
from app.queue.claim import Claims
from app.queue.enqueue import Makings
from app.queue.lease_tokens import LeaseTokens
from app.queue.leases import Leases
from app.queue.reaper import INTERVAL_S, Reaper
from app.queue.transitions import Ledgers
from app.queue.waiting_claims import Bell
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services
from app.runtime.shutdown import Shutdown
from app.settings import Settings
from app.webhooks.service import WebhookService
from app.workers.service import WorkerService


def _build(services: Services) -> list[object]:
    db, settings, workers = (
        services.get(Database),
        services.get(Settings),
        services.get(WorkerService),
    )
    bell = Bell(services.get(Notifications))
    ledgers = Ledgers(db, services.get(Hub), bell, services.get(WebhookService))
    return [
        bell,
        ledgers,
        Makings(db, ledgers, bell, settings, lost_after_s=workers.lost_after_s),
        Leases(db, ledgers, workers, settings),
        Claims(db, ledgers, bell, workers, services.get(Shutdown), settings),
        Reaper(ledgers, cancel_grace_s=settings.cancel_grace_s),
        LeaseTokens(db, default_quota=settings.user_quota_bytes),
    ]


def _tasks(services: Services) -> list[PeriodicTask]:
    db = services.get(Database)
    return [
        PeriodicTask(services.get(Reaper).run, INTERVAL_S),
        PeriodicTask(partial(services.get(Bell).look, db), 1),
        PeriodicTask(lambda: lease_queries.purge(db.pool), 3600),
    ]


DOMAIN = Domain(
    name="queue",
    routers=(routes.router,),
    access={
        "POST /v1/workers/{worker_id}/claim": WORKER,
        "POST /v1/workers/{worker_id}/events": WORKER,
        "DELETE /v1/workers/{worker_id}": WORKER,
        "POST /v1/jobs/{job_id}/events": LEASE,
        "POST /v1/jobs/{job_id}/heartbeat": LEASE,
        "POST /v1/jobs/{job_id}/release": LEASE,
    },
    tables=(JobRow, LeaseRow),
    build=_build,
    tasks=_tasks,
)
