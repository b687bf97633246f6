"""The messages of `/v1/ws` other than events: ops of the client, control frames of the server."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from processing_context.wire.base import Id, Reply, Request, Timestamp
from processing_context.wire.errors import Problem
from processing_context.wire.jobs import Job, NodeState, RunJobRequest

RequestTag = Annotated[str | int, Field()]
"""The caller's mark on an op, echoed in the reply."""


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
            raise ValueError('give one of job_id, jobs: "all" and thread_id')
        return self


class Subscribe(_Topic):
    """Send what comes after `after`, then everything new."""

    op: Literal["subscribe"]
    after: Annotated[int, Field(ge=0)] = 0


class Unsubscribe(_Topic):
    """Send no more of it."""

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
    """Ask for a pong."""

    op: Literal["ping"]


Op = Annotated[Subscribe | Unsubscribe | Run | Cancel | Ping, Field(discriminator="op")]
OP: TypeAdapter[Op] = TypeAdapter(Op)
"""Reads what a client sends."""


class Ticket(Reply):
    """A way in for a page that cannot send a header: `/v1/ws?ticket=`, once, within 30 s."""

    ticket: str
    expires_at: Timestamp


class _Frame(Reply):
    id: RequestTag | None = None


class Subscribed(_Frame):
    """A subscription has begun: to a job, whose log ends at `last_seq` by now, or to all jobs."""

    type: Literal["subscribed"]
    job_id: str | None = None
    last_seq: int | None = None
    jobs: Literal["all"] | None = None


class CaughtUp(_Frame):
    """What was stored of a job has been sent, up to `seq`; what follows is new."""

    type: Literal["caught_up"]
    job_id: str
    seq: int


class JobSnapshot(Reply):
    """How a job stands, and its nodes."""

    job: Job
    nodes: list[NodeState]


class Gap(_Frame):
    """Events of a job, from `from` to `to`, that retention has removed, and what came of them."""

    model_config = {"populate_by_name": True, "serialize_by_alias": True}

    type: Literal["gap"] = "gap"
    job_id: str
    from_: int = Field(alias="from")
    to: int
    snapshot: JobSnapshot

    @property
    def seq(self) -> int:
        """The `seq` of the last event that is missing: reading goes on after it."""
        return self.to


class UnfinishedJob(JobSnapshot):
    """A job of a `snapshot`; every event after `last_seq` follows."""

    last_seq: int


class Snapshot(_Frame):
    """The user's unfinished jobs, without what lists leave out; several where they are many."""

    type: Literal["snapshot"]
    jobs: list[UnfinishedJob]


class OpReply(_Frame):
    """An op is done; `job` for run and cancel."""

    type: Literal["reply"]
    job: Job | None = None


class ProblemFrame(_Frame):
    """An op failed, or a subscription came to nothing; the others go on."""

    type: Literal["problem"]
    job_id: str | None = None
    problem: Problem


class Pong(_Frame):
    """The answer to a ping."""

    type: Literal["pong"]
