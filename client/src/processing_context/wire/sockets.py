"""The frames of `/v1/ws` other than events."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from processing_context.wire.base import Id, Reply, Request, Timestamp
from processing_context.wire.jobs import RunJobRequest

RequestTag = Annotated[str | int, Field()]
"""The caller's mark on an op, echoed in the reply."""


class _Op(Request):
    id: RequestTag | None = None


class _Topic(_Op):
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


class Frame(Reply):
    """A control frame of the server; the fields depend on `type`."""

    model_config = {"extra": "allow"}

    type: Literal["subscribed", "caught_up", "gap", "reply", "problem", "pong", "snapshot"]
    id: RequestTag | None = None
    job_id: str | None = None
    problem: dict[str, Any] | None = None
