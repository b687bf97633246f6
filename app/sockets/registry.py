"""Registry of the open WebSockets of a replica, by token."""

from __future__ import annotations

from collections import defaultdict

from app.events.send_queue import SendQueue
from app.http.auth import Principal, TokenLookup
from app.runtime import metrics
from app.sockets.errors import UNAUTHORIZED

RECHECK_S = 3.0


class SocketRegistry:
    """Closes WebSockets whose token was revoked or has expired.

    Args:
        users: Look-up of the tokens of users.
        leases: Look-up of the tokens of leases.
    """

    def __init__(self, *, users: TokenLookup, leases: TokenLookup) -> None:
        self._users = users
        self._leases = leases
        self._open: defaultdict[str, set[SendQueue]] = defaultdict(set)
        self._lease_tokens: set[str] = set()

    def add(self, principal: Principal, send_queue: SendQueue) -> None:
        """Register a WebSocket by its principal's token."""
        self._open[principal.token_id].add(send_queue)
        if principal.job_id is not None:
            self._lease_tokens.add(principal.token_id)
        metrics.SOCKETS.inc()

    def remove(self, principal: Principal, send_queue: SendQueue) -> None:
        """Unregister a WebSocket after it was closed."""
        send_queues = self._open[principal.token_id]
        send_queues.discard(send_queue)
        if not send_queues:
            del self._open[principal.token_id]
            self._lease_tokens.discard(principal.token_id)
        metrics.SOCKETS.dec()

    def close_token(self, token_id: str) -> None:
        """Close all WebSockets of a token."""
        for send_queue in list(self._open.get(token_id, ())):
            send_queue.close(UNAUTHORIZED, "the token was revoked or has expired")

    async def is_live(self, principal: Principal) -> bool:
        """Return False if the token is that of a lease that has ended."""
        if principal.job_id is None:
            return True
        return bool(await self._leases.valid_among([principal.token_id]))

    async def recheck(self) -> None:
        """Close the WebSockets of all tokens that are no longer valid."""
        if not self._open:
            return
        ids = set(self._open)
        users, leases = ids - self._lease_tokens, ids & self._lease_tokens
        valid = (await self._users.valid_among(users) if users else set()) | (
            await self._leases.valid_among(leases) if leases else set()
        )
        for token_id in ids - valid:
            self.close_token(token_id)
