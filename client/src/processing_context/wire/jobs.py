"""Models of jobs: runs of graphs."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from processing_context.wire.base import Id, Name, Reply, Request, Text, Timestamp
from processing_context.wire.graph import Graph, GraphError

JobStatus = Literal["queued", "running", "completed", "failed", "cancelled"]
ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled"})
"""Statuses of ended jobs; they never change again."""

Capability = Annotated[Text, Field(min_length=1, max_length=100)]


class JobError(Reply):
    """The reason why a job ended without a result.

    `traceback` is that of the node's code, without the frames of the worker.
    """

    code: Literal["node_failed", "timeout", "worker_lost", "invalid_result", "cancelled"]
    message: str
    node_id: str | None = None
    traceback: str | None = None


_PREFIX = "whsec_"
_KEY_BYTES = range(24, 65)


def _signing_secrets(value: str) -> str:
    for secret in value.split(" "):
        encoded = secret.removeprefix(_PREFIX)
        try:
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) not in _KEY_BYTES:
            raise ValueError(
                f"must be {_PREFIX} and the base64 of 24 to 64 random bytes; "
                "to rotate it, give several with one space between them"
            )
    return value


_Secrets = Annotated[str, Field(max_length=500), AfterValidator(_signing_secrets)]


class Webhook(Request):
    """A webhook to send when a job ends, by the Standard Webhooks specification.

    `secret` is the signing key: `whsec_` and the base64 of 24 to 64 random bytes. To rotate it,
    give the new and the old one with a space between them; each signs. Without a secret, messages
    are not signed. The secret is never returned.
    """

    url: Annotated[Text, Field(min_length=1, max_length=8192)]
    secret: Annotated[_Secrets | None, Field(repr=False)] = None
    events: Annotated[list[Literal["completed", "failed", "cancelled"]], Field(min_length=1)] = [
        "completed",
        "failed",
        "cancelled",
    ]


class RunOptions(Request):
    """Options of a job; the body of `POST /v1/workflows/{id}/run`."""

    type: Literal["run_job_request"] = "run_job_request"
    job_type: Literal["workflow"] = "workflow"
    params: dict[str, Any] = {}
    name: Name | None = None
    metadata: dict[str, Any] = {}
    required_capabilities: Annotated[list[Capability], Field(max_length=100)] = []
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    run_at: Timestamp | None = None
    timeout_s: Annotated[float, Field(gt=0, le=30 * 86_400)] | None = None
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    webhook: Webhook | None = None


class RunJobRequest(RunOptions):
    """A job to create from either a saved workflow or a graph."""

    workflow_id: Id | None = None
    graph: Graph | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.workflow_id is None) == (self.graph is None):
            raise ValueError("give exactly one of workflow_id and graph")
        return self


MAX_JOBS_AT_ONCE = 100


class JobBatch(Request):
    """Several jobs to create in one request."""

    jobs: Annotated[list[RunJobRequest], Field(min_length=1, max_length=MAX_JOBS_AT_ONCE)]


class Job(Reply):
    """A job. Lists omit `graph`, `params` and `result`. `progress` is between 0 and 1."""

    id: str
    user_id: str
    workflow_id: str | None
    job_type: str
    name: str | None = None
    metadata: dict[str, Any] = {}
    status: JobStatus
    params: dict[str, Any] | None = None
    graph: Graph | None = None
    workflow_version: int | None
    parent_job_id: str | None
    rerun_of: str | None = None
    result: dict[str, Any] | None = None
    error: JobError | None
    progress: float
    attempt: int
    max_attempts: int
    priority: int
    required_capabilities: list[str]
    timeout_s: float | None = None
    worker_id: str | None
    waiting_reason: str | None
    cancel_requested: bool
    run_at: Timestamp | None
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    cost: float | None
    warnings: list[GraphError] = []

    @property
    def is_ended(self) -> bool:
        """True if the job has ended; its status does not change any more."""
        return self.status in ENDED


class JobList(Reply):
    """A page of jobs."""

    next: str | None
    jobs: list[Job]


MAX_CANCELLED_AT_ONCE = 1000


class JobsCancel(Request):
    """Jobs to cancel in one request."""

    ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_CANCELLED_AT_ONCE)]


class JobsCancelled(Reply):
    """The jobs that are cancelled, or whose workers will learn of it."""

    cancelled: list[str]


class JobsMade(Reply):
    """The jobs of a batch, in the order of the request."""

    jobs: list[Job]


class NodeState(Reply):
    """The latest state of a node of a job."""

    node_id: str
    node_name: str | None = None
    node_type: str | None = None
    status: str
    error: str | None = None
    progress: float | None = None
    total: float | None = None
    result: Any = None
    seq: int
    attempt: int
    updated_at: Timestamp


class NodeStateList(Reply):
    """A page of the nodes of a job that have sent events."""

    next: str | None = None
    nodes: list[NodeState]
