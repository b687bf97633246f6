"""When an attempt that failed is made again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

JITTER = 0.1


def pause_s(retry_s: Sequence[float], attempt: int, *, asked_s: float) -> float | None:
    """Return how long to wait after the `attempt`th attempt; None: it was the last.

    Some 10 % more or less than planned, so that what failed together does not come back together.
    The receiver may ask for longer, but not for longer than the longest pause of the plan.
    """
    if attempt > len(retry_s):
        return None
    spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # nothing to guess here
    return max(retry_s[attempt - 1] * spread, min(asked_s, max(retry_s)))


def asked_s(retry_after: str | None, now: datetime) -> float:
    """Return the seconds that a Retry-After header asks to wait, in either of its forms."""
    value = (retry_after or "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0
    # One in `-0000` comes without a zone; it means UTC.
    return max((moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds(), 0)
