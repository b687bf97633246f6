"""Handshake of WebSockets: checks the Origin, then the token or ticket."""

from __future__ import annotations

from collections.abc import Collection

from starlette.websockets import WebSocket

from app.database.errors import is_database_away
from app.events.send_queue import UNAUTHORIZED
from app.http.auth import Authenticator, Principal, bearer_token
from app.sockets.errors import FORBIDDEN, TRY_AGAIN_LATER, Refused
from app.sockets.origins import is_allowed
from app.sockets.service import TicketService

PROTOCOL = "context.v1"
BEARER_PROTOCOL = "context.bearer."


class Handshake:
    """Authenticates WebSockets by header, subprotocol or ticket.

    Args:
        authenticator: Authenticates tokens.
        tickets: Authenticates tickets.
        allowed_origins: Other origins whose pages may connect; `*` allows all.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        tickets: TicketService,
        *,
        allowed_origins: Collection[str],
    ) -> None:
        self._authenticator = authenticator
        self._tickets = tickets
        self._allowed_origins = allowed_origins

    async def accept(self, websocket: WebSocket) -> Principal:
        """Accept a WebSocket and return its principal.

        The WebSocket is accepted before the checks, since browsers do not report a close code of a
        rejected handshake.

        Raises:
            Refused: A check has failed; the caller must close the WebSocket.
        """
        offered = _offered_protocols(websocket)
        await websocket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
        if not self._is_origin_allowed(websocket):
            raise Refused(FORBIDDEN, "the Origin is not allowed")
        try:
            principal = await self._principal(websocket)
        except Exception as exc:
            if not is_database_away(exc):
                raise
            raise Refused(TRY_AGAIN_LATER, "the database is unavailable") from exc
        if principal is None or not principal.is_live:
            raise Refused(UNAUTHORIZED, "the token is missing, unknown, revoked or expired")
        if "user" not in principal.scopes:
            raise Refused(FORBIDDEN, "the token lacks the scope `user`")
        return principal

    def _is_origin_allowed(self, websocket: WebSocket) -> bool:
        """Return True if the Origin is allowed, or missing (only browsers send it)."""
        origin = websocket.headers.get("origin")
        if origin is None:
            return True
        host = websocket.headers.get("host", "")
        return is_allowed(origin, host=host, allowed=self._allowed_origins)

    async def _principal(self, websocket: WebSocket) -> Principal | None:
        token = bearer_token(websocket) or _protocol_token(websocket)
        if token is not None:
            return await self._authenticator.resolve(token)
        ticket = websocket.query_params.get("ticket")
        return await self._tickets.redeem(ticket) if ticket else None


def _offered_protocols(websocket: WebSocket) -> list[str]:
    protocols: list[str] = websocket.scope.get("subprotocols", [])
    return protocols


def _protocol_token(websocket: WebSocket) -> str | None:
    """Return the token in the subprotocols, if there is one."""
    for protocol in _offered_protocols(websocket):
        if protocol.startswith(BEARER_PROTOCOL):
            return protocol.removeprefix(BEARER_PROTOCOL)
    return None
