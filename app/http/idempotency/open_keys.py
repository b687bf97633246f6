"""Quota for the idempotency keys of running requests."""

from __future__ import annotations

from app.http.quotas import QuotaExceeded


class OpenKeys:
    """Counts the keys that the running requests of each user hold on this replica.

    Args:
        limit: The largest number of one user.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[str, int] = {}

    def add(self, user_id: str, count: int) -> None:
        """Count the keys of a request that begins.

        Raises:
            QuotaExceeded: The user would have more open keys than the limit.
        """
        total = self._open.get(user_id, 0) + count
        if total > self._limit:
            raise QuotaExceeded(
                f"The limit of {self._limit} idempotency keys of one user's running requests is "
                "reached: send fewer requests at once."
            )
        self._open[user_id] = total

    def remove(self, user_id: str, count: int) -> None:
        """Remove the keys of a request that has ended."""
        left = self._open.get(user_id, 0) - count
        if left > 0:
            self._open[user_id] = left
        else:
            self._open.pop(user_id, None)
