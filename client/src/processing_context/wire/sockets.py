"""Messages of `/v1/ws` other than events: ops of clients, control frames of the service."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from processing_context.wire.base import Id, Reply, Request, Timestamp
from processing_context.wire.errors import Problem
from processing_context.wire.jobs import Job, NodeState, RunJobRequest

RequestTag = Annotated[str | int, Field()]
"""Tag of an op, chosen by the client and echoed in the reply."""


class _Op(Request):
    id: RequestTag | None = None


class _Topic(_Op):
    model_config = {
        "json_schema_extra": {
            "oneOf": [{"required": [name]} for name in ("job_id", "jobs", "thread_id")]
        }
    }

    job_id: Id | None = None
    jobs: Literal["all"] | None = None
    thread_id: Id | None = None

    @model_validator(mode="after")
    def _one_topic(self) -> Self:
        if [self.job_id, self.jobs, self.thread_id].count(None) != 2:
            raise ValueError('give exactly one of job_id, jobs: "all" and thread_id')
        return self


class Subscribe(_Topic):
    """Subscribe to events after `after`: first the stored ones, then new ones."""

    op: Literal["subscribe"]
    after: Annotated[int, Field(ge=0)] = 0


class Unsubscribe(_Topic):
    """End a subscription."""

    op: Literal["unsubscribe"]


class Run(_Op):
    """Create a job and subscribe to it."""

    op: Literal["run"]
    request: RunJobRequest
    idempotency_key: str | None = None


class Cancel(_Op):
    """Cancel a job."""

    op: Literal["cancel"]
    job_id: Id


class Ping(_Op):
    """Request a pong."""

    op: Literal["ping"]


Op = Annotated[Subscribe | Unsubscribe | Run | Cancel | Ping, Field(discriminator="op")]
OP: TypeAdapter[Op] = TypeAdapter(Op)
"""Validates ops."""


class Ticket(Reply):
    """A one-time ticket for `/v1/ws?ticket=`, valid for 30 s, for pages that cannot set headers."""

    ticket: str
    expires_at: Timestamp


class _Frame(Reply):
    id: RequestTag | None = None


class Subscribed(_Frame):
    """A subscription has begun. `last_seq` is the last stored event of the job."""

    type: Literal["subscribed"]
    job_id: str | None = None
    last_seq: int | None = None
    jobs: Literal["all"] | None = None


class CaughtUp(_Frame):
    """All stored events of a job, up to `seq`, have been sent; new events follow."""

    type: Literal["caught_up"]
    job_id: str
    seq: int


class JobSnapshot(Reply):
    """The state of a job and its nodes, without their events."""

    job: Job
    nodes: list[NodeState]


class Gap(_Frame):
    """Events of a job, `from` through `to`, that retention has removed, with the current state.

    The nodes have no results. Large fields of the job (`graph`, then `params` and `result`) are
    left out if they would fill half a frame. `more`: another frame of the same gap follows, with
    more of the nodes.
    """

    model_config = {"populate_by_name": True, "serialize_by_alias": True}

    type: Literal["gap"] = "gap"
    job_id: str
    from_: int = Field(alias="from")
    to: int
    snapshot: JobSnapshot
    more: bool | None = None

    @property
    def seq(self) -> int:
        """The `seq` of the last missing event; the next event follows it."""
        return self.to


class UnfinishedJob(JobSnapshot):
    """An unfinished job in a `snapshot`; all events after `last_seq` follow."""

    last_seq: int


class Snapshot(_Frame):
    """The user's unfinished jobs, with the fields of job lists, and their nodes without results.

    `more`: another frame of the snapshot follows. A job with many nodes is in several frames, each
    with some of its nodes.
    """

    type: Literal["snapshot"]
    jobs: list[UnfinishedJob]
    more: bool


class OpReply(_Frame):
    """An op succeeded; `job` is the job of a `run` or `cancel`."""

    type: Literal["reply"]
    job: Job | None = None


class ProblemFrame(_Frame):
    """An op failed, or a subscription ended with an error; other subscriptions continue."""

    type: Literal["problem"]
    job_id: str | None = None
    problem: Problem


class Pong(_Frame):
    """Response to a ping."""

    type: Literal["pong"]
