"""When to try again, and after how long: shared by the API calls, the byte path and the sockets."""

from __future__ import annotations

import random
import time
from email.utils import parsedate_to_datetime

RETRIED_STATUSES = frozenset({429, 502, 503, 504})
BASE_S = 0.5
CAP_S = 10.0
RETRY_AFTER_CAP_S = 60.0


class Retry:
    """The tries of one logical call: exponential back-off with full jitter.

    Args:
        retries: How many times to try again.
        patience_s: Try for this long since the last success instead, however often that is.
    """

    def __init__(self, retries: int, patience_s: float | None = None) -> None:
        self._retries = retries
        self._patience_s = patience_s
        self.succeeded()

    def succeeded(self) -> None:
        """Begin afresh."""
        self._tries = 0
        self.heard()

    def heard(self) -> None:
        """The other side was there just now: patience begins afresh, the delays do not."""
        self._since = time.monotonic()

    def next_delay_s(self, retry_after: str | None = None) -> float | None:
        """Return how long to wait before the next try; None: give up."""
        if self._patience_s is None:
            if self._tries >= self._retries:
                return None
        elif time.monotonic() - self._since > self._patience_s:
            return None
        jittered = random.uniform(0, min(CAP_S, BASE_S * 2 ** min(self._tries, 10)))  # noqa: S311
        self._tries += 1
        asked = _seconds(retry_after)
        # Jitter on top of what the server asks: else all whom it sent away come back together.
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
