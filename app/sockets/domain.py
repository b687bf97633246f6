"""Registration of the WebSocket."""

from __future__ import annotations

from functools import partial

from app.database.engine import Database
from app.domain import Domain
from app.events.broadcaster import Broadcaster
from app.events.open_streams import RECHECK_S, OpenStreams
from app.http.auth import USER
from app.http.idempotency.open_keys import OpenKeys
from app.http.json_threads import JsonThreads
from app.http.rate_limits import RateLimiter
from app.jobs.cancellation import JobCancellation
from app.jobs.service import JobService
from app.queue.lease_tokens import LeaseTokens
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services
from app.runtime.shutdown import Shutdown
from app.sockets import routes
from app.sockets.models import TicketRow
from app.sockets.server import CLOSE_GRACE_S, SocketServer
from app.sockets.service import TicketService
from app.users.service import UserTokens
from processing_context.wire.graph import GraphLimits

DELETE_EXPIRED_S = 60


def build(services: Services, *, close_grace_s: float = CLOSE_GRACE_S) -> list[object]:
    """Return the services of the domain."""
    db = services.get(Database)
    server = SocketServer(
        db,
        services.get(OpenKeys),
        services.get(Broadcaster),
        services.get(JobService),
        services.get(JobCancellation),
        services.get(OpenStreams),
        services.get(LeaseTokens),
        services.get(Shutdown),
        services.get(JsonThreads),
        services.get(GraphLimits),
        services.get(RateLimiter),
        close_grace_s=close_grace_s,
    )
    return [TicketService(db, services.get(UserTokens)), server]


def _tasks(services: Services) -> list[PeriodicTask]:
    recheck = partial(
        services.get(OpenStreams).recheck, services.get(UserTokens), services.get(LeaseTokens)
    )
    return [
        PeriodicTask(recheck, RECHECK_S),
        PeriodicTask(services.get(TicketService).delete_expired, DELETE_EXPIRED_S),
    ]


DOMAIN = Domain(
    name="sockets",
    routers=(routes.router,),
    access={"POST /v1/ws/tickets": USER},
    tables=(TicketRow,),
    expiring_tables=(TicketRow,),
    build=build,
    tasks=_tasks,
)
