"""Registration of the job queue."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from app.database.engine import Database
from app.database.notifications import Notifications
from app.database.statement import Connection
from app.domain import AfterCommit, Domain
from app.events.broadcaster import Broadcaster
from app.http.auth import LEASE, LEASE_POLL, WORKER, WORKER_OR_ADMIN, WORKER_POLL
from app.queue import lease_queries, routes
from app.queue.claim import ClaimService
from app.queue.enqueue import Enqueuer
from app.queue.lanes import QueueLanes
from app.queue.lease_tokens import LeaseTokens
from app.queue.leases import LeaseService
from app.queue.models import LaneRow
from app.queue.monitor import QueueMonitor
from app.queue.reaper import BACK_OFF, BackOff, Reaper
from app.queue.transitions import JobTransactions
from app.queue.user_turns import UserTurns
from app.queue.waiting_claims import WaitingClaims
from app.queue.worker_removal import WorkerRemoval
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services
from app.runtime.shutdown import Shutdown
from app.settings import Settings
from app.users.service import UserTokens
from app.webhooks.service import WebhookService
from app.workers.service import WorkerService

REAPER_INTERVAL_S = 0.5
POLL_INTERVAL_S = 1
TOKEN_CHECK_INTERVAL_S = 1
READ_TURNS_S, LONGEST_PAUSE_S = 1, 10
SWEEP_INTERVAL_S = MEASURE_S = 10


def build(services: Services, *, back_off: BackOff = BACK_OFF) -> list[object]:
    """Return the services of the domain."""
    db, settings = services.get(Database), services.get(Settings)
    workers = services.get(WorkerService)
    turns = UserTurns(db, user_limit=settings.max_running_jobs_per_user)
    lanes = QueueLanes(db)
    waiting_claims = WaitingClaims(db, services.get(Notifications), turns)
    transactions = JobTransactions(
        db, services.get(Broadcaster), waiting_claims, services.get(WebhookService)
    )
    enqueuer = Enqueuer(
        db, transactions, waiting_claims, turns, settings, lost_after_s=workers.lost_after_s
    )
    shutdown = services.get(Shutdown)
    return [
        turns,
        lanes,
        QueueMonitor(db),
        waiting_claims,
        transactions,
        enqueuer,
        LeaseService(db, transactions, workers, settings),
        WorkerRemoval(transactions, workers, services.get(UserTokens)),
        ClaimService(db, transactions, waiting_claims, turns, lanes, workers, shutdown, settings),
        Reaper(transactions, cancel_grace_s=settings.cancel_grace_s, back_off=back_off),
        LeaseTokens(db, default_quota=settings.user_quota_bytes),
    ]


async def _end_tokens(
    services: Services, on: Connection, token_ids: Collection[str]
) -> AfterCommit:
    return await services.get(WorkerRemoval).end_tokens(on, token_ids)


async def _purge(db: Database) -> None:
    await lease_queries.purge(db.pool)


def tasks(
    services: Services,
    *,
    reaper_interval_s: float = REAPER_INTERVAL_S,
    poll_interval_s: float = POLL_INTERVAL_S,
    sweep_interval_s: float = SWEEP_INTERVAL_S,
    sweep_first_s: float = 0,
) -> list[PeriodicTask]:
    """Return the periodic tasks of the domain."""
    turns = services.get(UserTurns)
    return [
        PeriodicTask(turns.read_queued, READ_TURNS_S),
        PeriodicTask(turns.read_running, READ_TURNS_S, longest_pause_s=LONGEST_PAUSE_S),
        PeriodicTask(
            services.get(QueueLanes).sweep,
            sweep_interval_s,
            first_s=sweep_first_s,
            longest_pause_s=2 * sweep_interval_s,
        ),
        PeriodicTask(
            services.get(Reaper).run, reaper_interval_s, longest_pause_s=10 * reaper_interval_s
        ),
        PeriodicTask(services.get(WaitingClaims).poll, poll_interval_s),
        PeriodicTask(services.get(QueueMonitor).measure, MEASURE_S, longest_pause_s=6 * MEASURE_S),
        PeriodicTask(services.get(WorkerRemoval).end_invalid_tokens, TOKEN_CHECK_INTERVAL_S),
        PeriodicTask(partial(_purge, services.get(Database)), 3600),
    ]


DOMAIN = Domain(
    name="queue",
    routers=(routes.router,),
    access={
        "POST /v1/workers/{worker_id}/claim": WORKER_POLL,
        "POST /v1/workers/{worker_id}/events": WORKER,
        "DELETE /v1/workers/{worker_id}": WORKER_OR_ADMIN,
        "POST /v1/jobs/{job_id}/events": LEASE,
        "POST /v1/jobs/{job_id}/heartbeat": LEASE_POLL,
        "POST /v1/jobs/{job_id}/release": LEASE,
    },
    # Lanes without jobs, also those of deleted users, are deleted within seconds.
    expiring_tables=(LaneRow,),
    tables=(LaneRow,),
    build=build,
    end_tokens=_end_tokens,
    tasks=tasks,
)
