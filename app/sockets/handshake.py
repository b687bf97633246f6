"""Who may open a socket: Origin, then header, subprotocol or ticket."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.websockets import WebSocket

from app.database.engine import Database
from app.http.auth import Authenticator, Principal, bearer_token, hash_token, new_token
from app.http.dependencies import services_of
from app.sockets import queries
from processing_context.wire.sockets import Ticket

PROTOCOL = "context.v1"
BEARER_PROTOCOL = "context.bearer."
TICKET_PREFIX = "tkt_"


async def make_ticket(db: Database, principal: Principal) -> Ticket:
    """Make a ticket for the caller: good once, for 30 s."""
    ticket = new_token(TICKET_PREFIX)
    expires_at = await queries.insert(
        db.pool, hash_token(ticket), principal.user_id, principal.token_id, principal.scopes
    )
    return Ticket(ticket=ticket, expires_at=expires_at)


def is_origin_allowed(websocket: WebSocket, allowed: Collection[str]) -> bool:
    """Whether the page that opens the socket may; a program sends no Origin."""
    origin = websocket.headers.get("origin")
    if origin is None or origin in allowed or "*" in allowed:
        return True
    return urlsplit(origin).netloc.lower() == websocket.headers.get("host", "").lower()


def offered_protocols(websocket: WebSocket) -> list[str]:
    """Return the subprotocols that the client offers."""
    protocols: list[str] = websocket.scope.get("subprotocols", [])
    return protocols


async def principal_of(websocket: WebSocket, authenticator: Authenticator) -> Principal | None:
    """Return whom a socket speaks for; None where its way in is missing or bad."""
    token = bearer_token(websocket)
    if token is None:
        token = next(
            (
                offered.removeprefix(BEARER_PROTOCOL)
                for offered in offered_protocols(websocket)
                if offered.startswith(BEARER_PROTOCOL)
            ),
            None,
        )
    if token is not None:
        return await authenticator.resolve(token)
    ticket = websocket.query_params.get("ticket")
    return await _by_ticket(services_of(websocket).get(Database), ticket) if ticket else None


async def _by_ticket(db: Database, ticket: str) -> Principal | None:
    row = await queries.use(db.pool, hash_token(ticket))
    if row is None or not row["is_valid"]:
        return None
    return Principal(
        user_id=row["user_id"], scopes=frozenset(row["scopes"]), token_id=row["token_id"]
    )
