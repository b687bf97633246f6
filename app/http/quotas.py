"""Quotas for the number of a user's objects."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.http.problems import Forbidden

CACHE_S = 1.0
"""Time for which a count is used; in that time a user may exceed the limit a little."""

_MAX_CACHED = 10_000

Count = Callable[[str, int], Awaitable[int]]
"""Function that counts the objects of a user, at most up to a limit."""


class QuotaExceeded(Forbidden):
    """The request would exceed a quota of the user."""

    code = "quota_exceeded"


@dataclass(slots=True)
class _Counted:
    read_at: float
    count: int


class CountQuota:
    """Limit on the number of objects that a user has.

    The objects are counted at most once a second for each user and replica, and only up to the
    limit; in between, new objects are added to the count.

    Args:
        objects: The name of the objects, for the message.
        limit: The largest number.
        count: Counts the objects of a user.
        remedy: What to do when the limit is reached, for the message.
    """

    def __init__(self, objects: str, limit: int, count: Count, *, remedy: str) -> None:
        self._objects = objects
        self._limit = limit
        self._count = count
        self._remedy = remedy
        self._counted: dict[str, _Counted] = {}

    async def check(self, user_id: str, adding: int = 1) -> None:
        """Check that a user may create more objects, and count them.

        Args:
            user_id: The user.
            adding: The number of new objects.

        Raises:
            QuotaExceeded: The user would have more objects than the limit.
        """
        counted = await self._current(user_id)
        if counted.count + adding > self._limit:
            raise QuotaExceeded(
                f"The limit of {self._limit} {self._objects} of one user is reached: {self._remedy}"
            )
        counted.count += adding

    async def _current(self, user_id: str) -> _Counted:
        now = time.monotonic()
        counted = self._counted.get(user_id)
        if counted is not None and now - counted.read_at < CACHE_S:
            return counted
        if counted is None:
            if len(self._counted) >= _MAX_CACHED:
                self._counted.clear()
            counted = self._counted[user_id] = _Counted(now, 0)
        # Concurrent requests use the count as it is, so that only one request counts.
        counted.read_at, added_before = now, counted.count
        try:
            found = await self._count(user_id, self._limit + 1)
        except BaseException:
            self._counted.pop(user_id, None)
            raise
        counted.count += found - added_before
        return counted
