"""Conversion of leases to their wire format."""

from __future__ import annotations

from typing import Any

from app.events.schemas import job_json
from app.queue.leased_job import LeasedJob


def lease_json(leased: LeasedJob) -> dict[str, Any]:
    """Return the JSON of a `Lease`, as values for orjson."""
    return {
        "job": job_json(leased.job),
        "attempt": leased.job.attempt,
        "token": leased.token,
        "expires_at": leased.expires_at,
        "traceparent": leased.job.traceparent,
    }
