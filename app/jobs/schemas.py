"""Jobs as they travel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import asyncpg
import orjson

from processing_context.wire.jobs import Job

_PLAIN = (
    "id",
    "user_id",
    "workflow_id",
    "job_type",
    "status",
    "workflow_version",
    "parent_job_id",
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
Row: TypeAlias = asyncpg.Record | Mapping[str, Any]

LARGE = {"params", "graph", "result"}
"""What lists leave out."""


def job_json(row: Row, waiting_reason: str | None = None) -> dict[str, Any]:
    """Return a whole job for `dumps`; its large parts stay the text that they are."""
    large = {
        name: None if row[name] is None else orjson.Fragment(row[name]) for name in sorted(LARGE)
    }
    return {**_plain(row), **large, "waiting_reason": waiting_reason}


def lease_json(row: Row, token: str) -> dict[str, Any]:
    """Return a lease for `dumps`."""
    return {
        "job": job_json(row),
        "attempt": row["attempt"],
        "token": token,
        "expires_at": row["expires_at"],
        "traceparent": row["traceparent"],
    }


def dumps(value: object) -> bytes:
    """Return JSON as it travels."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)


def job_out(row: Row, waiting_reason: str | None = None) -> Job:
    """Return the wire form of a whole job."""
    return Job.model_validate_json(dumps(job_json(row, waiting_reason)))


def summary_out(row: Row, *, waiting_reason: str | None = None) -> Job:
    """Return the wire form of a job without what is large."""
    return Job.model_validate({**_plain(row), "waiting_reason": waiting_reason})


def _plain(row: Row) -> dict[str, Any]:
    error = row["error"]
    return {
        **{name: row[name] for name in _PLAIN},
        "error": None if error is None else {"node_id": None, **error},
        "cancel_requested": row["cancel_requested_at"] is not None,
    }
