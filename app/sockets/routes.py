"""The socket, and tickets for it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from fastapi import APIRouter
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.database.engine import Database
from app.database.errors import is_database_away
from app.events.broadcaster import Hub
from app.events.send_queue import RESTARTING, Outbox
from app.http.auth import Authenticator, PrincipalDep
from app.http.dependencies import DatabaseDep, services_of
from app.http.routing import SecuredRoute
from app.jobs.service import Jobs
from app.runtime.shutdown import Shutdown
from app.settings import Settings
from app.sockets.connection import Connection
from app.sockets.fast_send import begun
from app.sockets.handshake import (
    PROTOCOL,
    is_origin_allowed,
    make_ticket,
    offered_protocols,
    principal_of,
)
from app.sockets.registry import UNAUTHORIZED, Sockets
from app.sockets.subscriptions import Subscriptions
from processing_context.wire.sockets import Ticket

FORBIDDEN = 4403
TRY_LATER = 1013

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["sockets"])


@router.post("/ws/tickets", status_code=201)
async def create_ticket(db: DatabaseDep, principal: PrincipalDep) -> Ticket:
    """Make a ticket for `/v1/ws?ticket=…`: good once, for 30 s."""
    return await make_ticket(db, principal)


class SocketEndpoint:
    """The socket as an ASGI application: most frames go past starlette's `WebSocket`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket. It is accepted first: of a refusal a browser sees no close code."""
        websocket = WebSocket(scope, receive, send)
        offered = offered_protocols(websocket)
        await websocket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
        with suppress(WebSocketDisconnect):
            await _serve(websocket, send)


router.add_websocket_route("/v1/ws", SocketEndpoint(), name="open_socket")  # type: ignore[arg-type]


async def _serve(websocket: WebSocket, send: Send) -> None:
    services = services_of(websocket)
    if not is_origin_allowed(websocket, services.get(Settings).allowed_origins):
        await websocket.close(FORBIDDEN, "this Origin is not allowed")
        return
    try:
        principal = await principal_of(websocket, services.get(Authenticator))
    except Exception as exc:
        if not is_database_away(exc):
            raise
        await websocket.close(TRY_LATER, "the database does not answer")
        return
    if principal is None or not principal.is_live:
        await websocket.close(UNAUTHORIZED, "no token, or one that is unknown, revoked or expired")
        return
    if "user" not in principal.scopes:
        await websocket.close(FORBIDDEN, "this needs a token with the scope `user`")
        return
    sockets, jobs = services.get(Sockets), services.get(Jobs)
    outbox = Outbox(lambda text: begun(send({"type": "websocket.send", "text": text})))
    subscriptions = Subscriptions(
        services.get(Database), services.get(Hub), jobs, outbox, principal.user_id
    )
    sockets.add(principal, outbox)
    ending = asyncio.create_task(services.get(Shutdown).wait())
    ending.add_done_callback(lambda _: outbox.close(RESTARTING, "the service restarts"))
    try:
        await Connection(websocket, outbox, principal, jobs, subscriptions).serve()
    finally:
        ending.cancel()
        sockets.remove(principal, outbox)
