"""Retry schedule of deliveries: the back-off between attempts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

JITTER = 0.1


def back_off_s(schedule_s: Sequence[float], attempt: int, *, retry_after_s: float) -> float | None:
    """Return the delay after the given attempt, counted from 1; None after the last one.

    It has a jitter of 10 %, so that deliveries that failed together are not retried together. A
    receiver may ask for a longer delay, up to the longest one of the schedule.
    """
    if attempt > len(schedule_s):
        return None
    jitter = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # nothing to guess here
    return max(schedule_s[attempt - 1] * jitter, min(retry_after_s, max(schedule_s)))


def retry_after_s(header: str | None, now: datetime) -> float:
    """Return the delay of a Retry-After header (seconds or a date), in seconds."""
    value = (header or "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0
    # The zone `-0000`, which means UTC, is parsed to a time without a zone.
    return max((moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds(), 0)
