"""Service for tickets: one-time credentials to open a WebSocket in a browser."""

from __future__ import annotations

from app.database.engine import Database
from app.http.auth import Principal, TokenLookup, hash_token, new_token
from app.sockets import queries
from processing_context.wire.sockets import Ticket

TICKET_PREFIX = "tkt_"


class TicketService:
    """Tickets of all users.

    Args:
        db: The database.
        tokens: Look-up of the tokens that tickets were created with.
    """

    def __init__(self, db: Database, tokens: TokenLookup) -> None:
        self._db = db
        self._tokens = tokens

    async def create(self, principal: Principal) -> Ticket:
        """Create a ticket for the caller, which can be used once within 30 s."""
        ticket = new_token(TICKET_PREFIX)
        expires_at = await queries.insert(
            self._db.pool,
            hash_token(ticket),
            user_id=principal.user_id,
            token_id=principal.token_id,
            scopes=principal.scopes,
        )
        return Ticket(ticket=ticket, expires_at=expires_at)

    async def redeem(self, ticket: str) -> Principal | None:
        """Use a ticket and return its principal.

        Returns:
            None if the ticket is unknown, used or expired, or its token is no longer valid.
        """
        found = await queries.take(self._db.pool, hash_token(ticket))
        if found is None or not found.is_valid:
            return None
        if not await self._tokens.valid_among([found.token_id]):
            return None
        return Principal(
            user_id=found.user_id, scopes=frozenset(found.scopes), token_id=found.token_id
        )

    async def delete_expired(self) -> None:
        """Delete expired tickets."""
        await queries.delete_expired(self._db.pool)
