"""Registration of the WebSocket."""

from __future__ import annotations

from app.database.engine import Database
from app.domain import Domain
from app.http.auth import USER, Revocations
from app.queue.lease_tokens import LeaseTokens
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services
from app.sockets import queries, routes
from app.sockets.models import TicketRow
from app.sockets.registry import RECHECK_S, Sockets
from app.users.service import UserTokens


def _build(services: Services) -> list[object]:
    sockets = Sockets(users=services.get(UserTokens), leases=services.get(LeaseTokens))
    services.get(Revocations).on_token(sockets.close_token)
    return [sockets]


def _tasks(services: Services) -> list[PeriodicTask]:
    db = services.get(Database)
    return [
        PeriodicTask(services.get(Sockets).recheck, RECHECK_S),
        PeriodicTask(lambda: queries.purge(db.pool), 60),
    ]


DOMAIN = Domain(
    name="sockets",
    routers=(routes.router,),
    access={"POST /v1/ws/tickets": USER},
    tables=(TicketRow,),
    expiring_tables=(TicketRow,),
    build=_build,
    tasks=_tasks,
)
