"""Jobs that are leased to a worker, as its claim returns them."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from app.events.job_queries import JobRecord


class LeasedJob(NamedTuple):
    """A job with the token of its lease, and when the lease expires."""

    token: str
    job: JobRecord
    expires_at: datetime
