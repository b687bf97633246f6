"""Handshake of a WebSocket: checks its Origin, then its token or ticket."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.websockets import WebSocket

from app.database.errors import is_database_away
from app.http.auth import Authenticator, Principal, bearer_token
from app.sockets.errors import FORBIDDEN, TRY_AGAIN_LATER, UNAUTHORIZED, Refused
from app.sockets.service import TicketService

PROTOCOL = "context.v1"
BEARER_PROTOCOL = "context.bearer."


class Handshake:
    """Authenticates WebSockets, by header, subprotocol or ticket.

    Args:
        authenticator: Resolves tokens.
        tickets: Resolves tickets.
        allowed_origins: Origins of other sites whose pages may connect; `*` allows all.
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

        It is accepted first: a browser does not see the close code of a refused handshake.

        Raises:
            Refused: It has to be closed.
        """
        offered = _offered_protocols(websocket)
        await websocket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
        if not self._is_origin_allowed(websocket):
            raise Refused(FORBIDDEN, "this Origin is not allowed")
        try:
            principal = await self._principal(websocket)
        except Exception as exc:
            if not is_database_away(exc):
                raise
            raise Refused(TRY_AGAIN_LATER, "the database does not answer") from exc
        if principal is None or not principal.is_live:
            raise Refused(UNAUTHORIZED, "no token, or one that is unknown, revoked or expired")
        if "user" not in principal.scopes:
            raise Refused(FORBIDDEN, "this needs a token with the scope `user`")
        return principal

    def _is_origin_allowed(self, websocket: WebSocket) -> bool:
        """Return whether a page of this Origin may connect; programs send none."""
        origin = websocket.headers.get("origin")
        if origin is None or origin in self._allowed_origins or "*" in self._allowed_origins:
            return True
        return urlsplit(origin).netloc.lower() == websocket.headers.get("host", "").lower()

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
    """Return the token that is sent as a subprotocol."""
    for protocol in _offered_protocols(websocket):
        if protocol.startswith(BEARER_PROTOCOL):
            return protocol.removeprefix(BEARER_PROTOCOL)
    return None
