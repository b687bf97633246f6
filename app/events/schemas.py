"""Conversion of jobs and node states to their wire format."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import orjson

from app.events.job_queries import JobRecord, JobSummary
from app.events.node_queries import NodeRecord
from processing_context.wire.jobs import Job

_PLAIN = (
    "id",
    "user_id",
    "workflow_id",
    "job_type",
    "name",
    "status",
    "workflow_version",
    "parent_job_id",
    "rerun_of",
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
_plain_values = attrgetter(*_PLAIN)


def job_json(job: JobRecord, waiting_reason: str | None = None) -> dict[str, Any]:
    """Return the JSON of a `Job`, as values for orjson; JSON texts are copied unparsed."""
    return {
        **_plain(job),
        "graph": orjson.Fragment(job.graph),
        "params": orjson.Fragment(job.params),
        "result": None if job.result is None else orjson.Fragment(job.result),
        "waiting_reason": waiting_reason,
    }


def summary_json(job: JobRecord | JobSummary, waiting_reason: str | None = None) -> dict[str, Any]:
    """Return the JSON of a `Job` without its large fields, as values for orjson."""
    return {**_plain(job), "waiting_reason": waiting_reason}


def summary_out(job: JobSummary) -> Job:
    """Return the wire model of a job without its large fields."""
    metadata = orjson.loads(job.metadata)
    return Job.model_validate({**_plain(job), "metadata": metadata, "waiting_reason": None})


def node_fields(node: NodeRecord) -> dict[str, Any]:
    """Return the fields of a `NodeState`, as values for orjson."""
    return node._asdict()


def node_json(node: NodeRecord) -> dict[str, Any]:
    """Return the fields of a node in a snapshot, which has no results."""
    fields = node._asdict()
    del fields["result"]
    return fields


def _plain(job: JobRecord | JobSummary) -> dict[str, Any]:
    error = job.error
    return {
        **dict(zip(_PLAIN, _plain_values(job), strict=True)),
        "metadata": orjson.Fragment(job.metadata),
        "error": None if error is None else {"node_id": None, **error},
        "warnings": job.warnings or [],
        "cancel_requested": job.cancel_requested_at is not None,
    }
