"""Jobs as they travel."""

from __future__ import annotations

from typing import Any

import asyncpg

from processing_context.wire.jobs import Job

_PLAIN = (
    "id",
    "user_id",
    "workflow_id",
    "job_type",
    "status",
    "workflow_version",
    "parent_job_id",
    "error",
    "progress",
    "attempt",
    "max_attempts",
    "priority",
    "required_capabilities",
    "timeout_s",
    "worker_id",
    "run_at",
    "created_at",
    "started_at",
    "finished_at",
    "cost",
)
LARGE = {"params", "graph", "result"}
"""What lists leave out."""


def _plain(row: asyncpg.Record) -> dict[str, Any]:
    return {
        **{name: row[name] for name in _PLAIN},
        "cancel_requested": row["cancel_requested_at"] is not None,
    }


def job_out(row: asyncpg.Record, *, waiting_reason: str | None = None) -> Job:
    """Return the wire form of a whole job."""
    large = {name: row[name] for name in LARGE}
    return Job.model_validate({**_plain(row), **large, "waiting_reason": waiting_reason})


def summary_out(row: asyncpg.Record, *, waiting_reason: str | None = None) -> Job:
    """Return the wire form of a job without what is large."""
    return Job.model_validate({**_plain(row), "waiting_reason": waiting_reason})
