"""Log of the times in which the service does not answer a worker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

REMIND_S = 300.0
"""Time after which a lasting or repeated outage is logged again."""


class Outage:
    """Logs the start and the end of outages, at most once in `REMIND_S`. Thread-safe.

    Args:
        clock: Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None
        self._logged_at = -REMIND_S
        self._is_logged = False
        self._lock = threading.Lock()

    def failed(self, what: str, error: Exception) -> None:
        """Record that a request failed, which is repeated with back-off."""
        with self._lock:
            now = self._clock()
            self._since = now if self._since is None else self._since
            if now - self._logged_at < REMIND_S:
                return
            self._logged_at, self._is_logged = now, True
            since_s = now - self._since
        away = f" (for {since_s:.0f} s)" if since_s >= 1 else ""
        logger.warning("%s: %s; it is repeated with back-off%s", what, error, away)

    def ended(self) -> None:
        """Record that the service answered."""
        if self._since is None:
            return
        with self._lock:
            since, self._since = self._since, None
            is_logged, self._is_logged = self._is_logged, False
            now = self._clock()
        if is_logged and since is not None:
            logger.info("the service answers again after %.1f s", now - since)
