"""Specification and data of new jobs, before they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from app.events.job_queries import JobRecord
from app.queue.waiting_claims import JobRequirements


class JobSpec(NamedTuple):
    """The graph, params and options of a job; `metadata`, `params` and `graph` are JSON text."""

    workflow_id: str | None
    workflow_version: int | None
    job_type: str
    name: str | None
    metadata: str
    params: str
    graph: str
    priority: int
    required_capabilities: list[str]
    node_types: list[str]
    timeout_s: float | None
    max_attempts: int
    webhook: dict[str, Any] | None
    run_at: datetime | None
    warnings: list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to enqueue; `depth` is the number of its ancestors."""

    id: str
    user_id: str
    parent_job_id: str | None
    depth: int
    traceparent: str | None
    spec: JobSpec

    @property
    def requirements(self) -> JobRequirements:
        """The requirements that a worker must meet to run the job."""
        return JobRequirements(self.user_id, self.spec.required_capabilities, self.spec.node_types)

    def record(self, now: datetime) -> JobRecord:
        """Return the record of the job in the queue."""
        spec = self.spec
        return JobRecord(
            id=self.id,
            user_id=self.user_id,
            workflow_id=spec.workflow_id,
            job_type=spec.job_type,
            name=spec.name,
            metadata=spec.metadata,
            status="queued",
            workflow_version=spec.workflow_version,
            parent_job_id=self.parent_job_id,
            rerun_of=None,
            error=None,
            progress=0.0,
            attempt=1,
            max_attempts=spec.max_attempts,
            priority=spec.priority,
            required_capabilities=spec.required_capabilities,
            node_types=spec.node_types,
            timeout_s=spec.timeout_s,
            worker_id=None,
            cancel_requested_at=None,
            run_at=spec.run_at,
            created_at=now,
            started_at=None,
            finished_at=None,
            cost=None,
            warnings=spec.warnings,
            last_seq=1,
            traceparent=self.traceparent,
            params=spec.params,
            graph=spec.graph,
            result=None,
        )


@dataclass(frozen=True, slots=True)
class OfferedJob:
    """A new job, with the waiting worker it is offered to and the token for that lease."""

    job: NewJob
    worker_id: str | None = None
    token_hash: bytes | None = None
