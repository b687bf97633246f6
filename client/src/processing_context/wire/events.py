"""Job events: what a worker sends and every reader sees.

A worker posts events without `job_id`, `seq`, `attempt` and `time`; the service adds them. A reader
gets them with all four, and with `traceparent` where the request that made the job had one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from processing_context.wire.base import Request, Text, Timestamp
from processing_context.wire.envelope import Envelope
from processing_context.wire.jobs import JobError, JobStatus

NodeStatus = Literal["waiting", "running", "completed", "cached", "failed", "cancelled"]
NodeId = Annotated[Text, Field(max_length=1000)]


class _Event(Envelope):
    # Not null, in silence: whoever encodes it sees that there is something JSON has no form for.
    model_config = {"ser_json_inf_nan": "constants"}


class JobUpdate(_Event):
    """A job changed its status; an end status ends it."""

    type: Literal["job_update"] = "job_update"
    status: JobStatus
    message: str | None = None
    progress: Annotated[float, Field(ge=0, le=1)] | None = None
    error: JobError | None = None
    result: dict[str, Any] | None = None


class NodeUpdate(_Event):
    """A node changed its status."""

    type: Literal["node_update"] = "node_update"
    node_id: NodeId
    node_name: Text
    node_type: Text | None = None
    status: NodeStatus
    error: str | None = None
    logs: str | None = None
    result: dict[str, Any] | None = None
    properties: dict[str, Any] | None = None


class NodeProgress(_Event):
    """How far a node is; `chunk` is streamed text. `from_seq` where several were merged."""

    type: Literal["node_progress"] = "node_progress"
    node_id: NodeId
    progress: float
    total: float
    chunk: str = ""
    from_seq: int | None = None


class OutputUpdate(_Event):
    """An output has a value."""

    type: Literal["output_update"] = "output_update"
    node_id: NodeId
    node_name: str
    output_name: str
    value: Any


class Preview(_Event):
    """Something to look at while a node works: a temporary file."""

    type: Literal["preview"] = "preview"
    node_id: NodeId
    output_name: str
    content_type: str
    uri: str


class PredictionEvent(_Event):
    """A prediction of a provider changed; the fields are those of a Prediction."""

    type: Literal["prediction"] = "prediction"
    model_config = {"extra": "allow"}


class Log(_Event):
    """A line for people."""

    type: Literal["log"] = "log"
    level: Literal["debug", "info", "warning", "error"]
    message: str
    node_id: NodeId | None = None


class ErrorEvent(_Event):
    """Something went wrong that did not end the job by itself."""

    type: Literal["error"] = "error"
    error: str
    node_id: NodeId | None = None


ProcessingMessage = (
    JobUpdate
    | NodeUpdate
    | NodeProgress
    | OutputUpdate
    | Preview
    | PredictionEvent
    | Log
    | ErrorEvent
)
"""What goes through a context's message queue."""

Event = Annotated[ProcessingMessage, Field(discriminator="type")]
"""Any event of a job."""

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
"""Reads and writes any event."""

EVENTS: TypeAdapter[list[Event]] = TypeAdapter(list[Event])
"""Reads and writes several."""


class EventPage(Request):
    """A page of a job's events. `terminal` only where the page reaches the end of an ended job."""

    model_config = {"extra": "ignore"}

    events: list[dict[str, Any]]
    last_seq: int
    terminal: bool


class EventBatch(Request):
    """A worker's events, each with `client_seq`: 1, 2, 3 … per attempt."""

    events: Annotated[list[dict[str, Any]], Field(max_length=1000)]


class EventsAccepted(Request):
    """What the worker learns from its batch."""

    model_config = {"extra": "ignore"}

    last_seq: int
    cancel_requested: bool
    lease_expires_at: Timestamp | None
