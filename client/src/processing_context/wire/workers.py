"""Models of workers, leases and heartbeats."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from processing_context.wire.base import Id, Name, Reply, Request, Text, Timestamp
from processing_context.wire.jobs import Capability, Job

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in hex."""


class WorkerCreate(Request):
    """A worker to register. `node_types` null: it runs any node type.

    `catalogue` is the SHA-256 (hex) of the body of `PUT /v1/workers/{id}/catalogue`, or of its
    `nodes` as JSON with sorted keys and without white space.
    """

    name: Name
    capabilities: list[Capability] = []
    node_types: list[Annotated[Text, Field(max_length=1000)]] | None = None
    slots: Annotated[int, Field(ge=1, le=1000)] = 1
    metadata: dict[str, Any] = {}
    catalogue: Sha256 | None = None


class WorkerRegistered(Reply):
    """The id of a registered worker and the interval of its heartbeats.

    `wants_catalogue`: the worker is to send its node descriptions, since the service does not have
    those with the hash `catalogue`.
    """

    id: str
    lease_ttl_s: float
    heartbeat_interval_s: float
    wants_catalogue: bool = False


class WorkerHeartbeat(Request):
    """`draining` true: the worker claims no more jobs; false: it does again; omitted: unchanged."""

    draining: bool | None = None


class Worker(Reply):
    """A worker."""

    id: str
    name: str
    state: Literal["active", "draining", "lost"]
    capabilities: list[str]
    node_types: list[str] | None
    slots: int
    metadata: dict[str, Any]
    running_jobs: list[str]
    last_heartbeat_at: Timestamp
    created_at: Timestamp


class WorkerList(Reply):
    """A page of workers."""

    next: str | None
    workers: list[Worker]


class ClaimRequest(Request):
    """A request for up to `max_jobs` jobs, waiting up to `wait_s` seconds for one."""

    wait_s: Annotated[float, Field(ge=0, le=60)] = 0
    max_jobs: Annotated[int, Field(ge=1, le=100)] = 1


class Lease(Reply):
    """The right to run an attempt of a job until `expires_at`; `token` acts for its owner."""

    job: Job
    attempt: int
    token: str
    expires_at: Timestamp
    traceparent: str | None = None


class LeaseList(Reply):
    """The leases of a claim; empty if no job became available."""

    leases: list[Lease]


class JobEvents(Request):
    """Events of one job, with the token of its lease."""

    job_id: Id
    token: str
    events: Annotated[list[dict[str, Any]], Field(max_length=1000)]


class WorkerEvents(Request):
    """Events of several jobs of a worker; each job appears once."""

    jobs: Annotated[list[JobEvents], Field(max_length=100)]


class JobEventsAnswer(Reply):
    """The acknowledgement of one job's events, or the `problem` for which they were refused."""

    job_id: str
    last_seq: int | None = None
    cancel_requested: bool | None = None
    lease_expires_at: Timestamp | None = None
    problem: dict[str, Any] | None = None


class WorkerEventsAccepted(Reply):
    """A result for each job, in the order of the request."""

    jobs: list[JobEventsAnswer]


class HeartbeatReply(Reply):
    """The state of a renewed lease."""

    cancel_requested: bool
    lease_expires_at: Timestamp
