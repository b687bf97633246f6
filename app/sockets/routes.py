"""Routes of the WebSocket and its tickets."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.http.auth import Authenticator, PrincipalDep
from app.http.dependencies import Injected, services_of
from app.http.routing import SecuredRoute
from app.settings import Settings
from app.sockets.errors import Refused
from app.sockets.handshake import Handshake
from app.sockets.server import SocketServer
from app.sockets.service import TicketService
from processing_context.wire.sockets import Ticket

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["sockets"])

Tickets = Annotated[TicketService, Injected(TicketService)]


@router.post("/ws/tickets", status_code=201)
async def create_ticket(tickets: Tickets, principal: PrincipalDep) -> Ticket:
    """Create a ticket for `/v1/ws?ticket=…`, which can be used once within 30 s."""
    return await tickets.create(principal)


class SocketEndpoint:
    """ASGI application of the WebSocket route, which gives access to the ASGI `send`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        websocket = WebSocket(scope, receive, send)
        services = services_of(websocket)
        handshake = Handshake(
            services.get(Authenticator),
            services.get(TicketService),
            allowed_origins=services.get(Settings).allowed_origins,
        )
        with suppress(WebSocketDisconnect):
            try:
                principal = await handshake.accept(websocket)
            except Refused as refused:
                await websocket.close(refused.code, refused.reason)
            else:
                await services.get(SocketServer).serve(websocket, send, principal)


router.add_websocket_route("/v1/ws", SocketEndpoint(), name="open_socket")  # type: ignore[arg-type]
