"""Open WebSockets and event streams of a replica, by the token that opened them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from app.events.send_queue import UNAUTHORIZED, SendQueue
from app.http.auth import Principal, TokenLookup

RECHECK_S = 3.0


class OpenStreams:
    """Closes the WebSockets and event streams whose token was revoked or has expired."""

    def __init__(self) -> None:
        self._open: defaultdict[str, set[SendQueue]] = defaultdict(set)
        self._lease_tokens: set[str] = set()

    @contextmanager
    def opened(self, principal: Principal, send_queue: SendQueue) -> Iterator[None]:
        """Register a stream by its principal's token until the end of the block."""
        token_id = principal.token_id
        self._open[token_id].add(send_queue)
        if principal.job_id is not None:
            self._lease_tokens.add(token_id)
        try:
            yield
        finally:
            self._open[token_id].discard(send_queue)
            if not self._open[token_id]:
                del self._open[token_id]
                self._lease_tokens.discard(token_id)

    def close_token(self, token_id: str) -> None:
        """Close all streams of a token."""
        for send_queue in list(self._open.get(token_id, ())):
            send_queue.close(UNAUTHORIZED, "the token was revoked or has expired")

    async def recheck(self, users: TokenLookup, leases: TokenLookup) -> None:
        """Close the streams of all tokens that are no longer valid.

        Args:
            users: Look-up of the tokens of users.
            leases: Look-up of the tokens of leases.
        """
        if not self._open:
            return
        ids = set(self._open)
        of_users, of_leases = ids - self._lease_tokens, ids & self._lease_tokens
        valid = (await users.valid_among(of_users) if of_users else set()) | (
            await leases.valid_among(of_leases) if of_leases else set()
        )
        for token_id in ids - valid:
            self.close_token(token_id)
