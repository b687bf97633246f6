"""Totals of users for quotas, which are read at most once a second."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

TTL_S = 1.0
_MAX_USERS = 10_000


class RecentTotals:
    """Cache of a total per user; changes that this replica makes are added at once.

    The total can be wrong by what other replicas changed within the last second.

    Args:
        read: Reads the total of a user.
        ttl_s: The time after which a total is read again.
    """

    def __init__(self, read: Callable[[str], Awaitable[int]], *, ttl_s: float = TTL_S) -> None:
        self._read = read
        self._ttl_s = ttl_s
        self._totals: dict[str, tuple[float, int]] = {}

    async def get(self, user_id: str) -> int:
        """Return the total of a user."""
        now = time.monotonic()
        if (known := self._totals.get(user_id)) is not None and now < known[0]:
            return known[1]
        total = await self._read(user_id)
        if len(self._totals) >= _MAX_USERS:
            self._totals.clear()
        self._totals[user_id] = (now + self._ttl_s, total)
        return total

    def add(self, user_id: str, change: int) -> None:
        """Add a change that was committed to the total of a user."""
        if (known := self._totals.get(user_id)) is not None:
            self._totals[user_id] = (known[0], known[1] + change)
