"""Leased jobs, as claims return them."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from app.events.job_queries import JobRecord


class LeasedJob(NamedTuple):
    """A job, the token of its lease, and when the lease expires."""

    token: str
    job: JobRecord
    expires_at: datetime
