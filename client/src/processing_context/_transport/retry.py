"""Retry policy of every HTTP call and event stream: which failures are retried, and when."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from typing import TypeVar

RETRIES = 6
"""Default number of attempts after the first one."""

PATIENCE_S = 900.0
"""Seconds for which events and the end of a job are retried while the service is unavailable."""

BASE_S = 0.5
CAP_S = 10.0
LEASE_CAP_S = 1.0
"""Longest delay between failed heartbeats, since leases expire meanwhile."""

RETRY_AFTER_CAP_S = 60.0

RETRIED_STATUSES = frozenset({429, 502, 503, 504})
STORAGE_STATUSES = RETRIED_STATUSES | {500}
"""Statuses of storage that are retried: S3 asks clients to repeat a 500."""

_FINAL_CODES = frozenset({"provider_error"})
_RETRIED_CONFLICTS = frozenset({"idempotency_in_flight"})

T = TypeVar("T")
OnRetry = Callable[[Exception, float], object]
"""Called before each delay with the failure and the seconds until the next attempt."""


def is_retried(status: int, code: str | None = None) -> bool:
    """Return True if a response of the service is retried, by its status and problem code."""
    if status == 409:
        return code in _RETRIED_CONFLICTS
    return status in RETRIED_STATUSES and code not in _FINAL_CODES


class Retryable(Exception):
    """Failure of an attempt after which another attempt may succeed.

    Args:
        error: Raised to the caller when no attempt is left.
        retry_after: The Retry-After header of the response, if any.
    """

    def __init__(self, error: Exception, retry_after: str | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after = retry_after


class Retry:
    """Attempts of one logical call: exponential back-off with full jitter.

    Args:
        retries: Number of attempts after the first one.
        patience_s: Retry for this long since the last success instead, any number of times.
        cap_s: Longest delay; by default `CAP_S`.
    """

    def __init__(
        self, retries: int = 0, patience_s: float | None = None, *, cap_s: float | None = None
    ) -> None:
        self._retries = retries
        self._patience_s = patience_s
        self._cap_s = CAP_S if cap_s is None else cap_s
        self.succeeded()

    def succeeded(self) -> None:
        """Reset the delays and the patience."""
        self._tries = 0
        self.heard()

    def heard(self) -> None:
        """Reset the patience but not the delays, after any sign of the other side."""
        self._since = time.monotonic()

    async def call(self, attempt: Callable[[], Awaitable[T]], on_retry: OnRetry | None = None) -> T:
        """Return the result of the first attempt that raises no `Retryable`.

        Raises:
            Exception: The error of the last `Retryable`, when no attempt is left.
        """
        while True:
            try:
                return await attempt()
            except Retryable as failure:
                await self.wait(failure, on_retry)

    async def wait(self, failure: Retryable, on_retry: OnRetry | None = None) -> None:
        """Sleep until the next attempt.

        Raises:
            Exception: The error of the failure, when no attempt is left.
        """
        delay_s = self.next_delay_s(failure.retry_after)
        if delay_s is None:
            raise failure.error from failure.error.__cause__
        if on_retry is not None:
            on_retry(failure.error, delay_s)
        await asyncio.sleep(delay_s)

    def next_delay_s(self, retry_after: str | None = None) -> float | None:
        """Return the seconds until the next attempt; None if no attempt is left."""
        if self._patience_s is None:
            if self._tries >= self._retries:
                return None
        elif time.monotonic() - self._since > self._patience_s:
            return None
        longest = min(self._cap_s, BASE_S * 2 ** min(self._tries, 10))
        jittered = random.uniform(0, longest)  # noqa: S311
        self._tries += 1
        asked = _seconds(retry_after)
        # Jitter is added to Retry-After, or all rejected clients would return at the same moment.
        return jittered if asked is None else min(asked, RETRY_AFTER_CAP_S) + jittered / 2


def _seconds(retry_after: str | None) -> float | None:
    if not retry_after:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        return _until(retry_after)


def _until(http_date: str) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(http_date).timestamp() - time.time())
    except ValueError:
        return None
