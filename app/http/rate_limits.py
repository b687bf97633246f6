"""Rate limits of requests, in the memory of a replica."""

from __future__ import annotations

import math
import time

from app.http.problems import ProblemError
from app.runtime.metrics import REQUESTS_LIMITED

_MAX_KEPT = 10_000


class RateLimited(ProblemError):
    """The token has made more requests than its rate allows."""

    status = 429
    code = "rate_limited"


class RateLimiter:
    """Token buckets, each stored as the time at which it is full again.

    Args:
        per_s: The requests per second of one bucket; 0 for no limit.
        burst: The requests that a full bucket allows at once.
    """

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._interval_s = 1 / per_s if per_s else 0.0
        self._capacity_s = burst * self._interval_s
        self._full_at: dict[str, float] = {}
        self._prune_at = _MAX_KEPT

    def take(self, key: str) -> None:
        """Count one request.

        Args:
            key: The name of the bucket.

        Raises:
            RateLimited: The bucket is empty.
        """
        if not self._interval_s:
            return
        now = time.monotonic()
        full_at = max(self._full_at.get(key, 0.0), now) + self._interval_s
        missing_s = full_at - now - self._capacity_s
        # The sum of many intervals is inexact.
        if missing_s > self._interval_s / 2:
            REQUESTS_LIMITED.inc()
            raise RateLimited(
                f"This token has made more than {self._per_s:g} requests per second: retry after "
                "the time in Retry-After.",
                headers={"Retry-After": str(math.ceil(missing_s))},
            )
        self._full_at[key] = full_at
        if len(self._full_at) > self._prune_at:
            self._prune(now)

    def _prune(self, now: float) -> None:
        """Forget the buckets that are full."""
        self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        self._prune_at = max(_MAX_KEPT, 2 * len(self._full_at))
