"""Conversion of jobs and node states to their wire format."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import orjson

from app.events.job_queries import JobRecord, JobSummary
from app.events.node_queries import NodeRecord
from processing_context.wire.jobs import Job, NodeState

LARGE = {"params", "graph", "result"}
"""Fields of a job that lists leave out."""

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


def job_out(job: JobRecord, waiting_reason: str | None = None) -> Job:
    """Return the wire model of a job."""
    text = orjson.dumps(job_json(job, waiting_reason), option=orjson.OPT_UTC_Z)
    return Job.model_validate_json(text)


def summary_out(job: JobSummary, waiting_reason: str | None = None) -> Job:
    """Return the wire model of a job without its large fields."""
    return Job.model_validate({**_plain(job), "waiting_reason": waiting_reason})


def node_out(node: NodeRecord) -> NodeState:
    """Return the wire model of a node's state."""
    return NodeState.model_validate(node._asdict())


def _plain(job: JobRecord | JobSummary) -> dict[str, Any]:
    error = job.error
    return {
        **dict(zip(_PLAIN, _plain_values(job), strict=True)),
        "error": None if error is None else {"node_id": None, **error},
        "cancel_requested": job.cancel_requested_at is not None,
    }
