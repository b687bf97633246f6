"""Models of job events.

Workers send events without `job_id`, `seq`, `attempt` and `time`; the service adds them.
Subscribers receive all four, and `traceparent` if the request that created the job had one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from processing_context.wire.base import Request, Text, Timestamp
from processing_context.wire.envelope import Envelope
from processing_context.wire.jobs import JobError, JobStatus

NodeStatus = Literal["waiting", "running", "completed", "cached", "skipped", "failed", "cancelled"]
NodeId = Annotated[Text, Field(max_length=1000)]


class _Event(Envelope):
    # Not "null", which would hide that the value has no JSON form: encoders check for these
    # constants.
    model_config = {"ser_json_inf_nan": "constants"}


class JobUpdate(_Event):
    """A job changed its status; `completed`, `failed` and `cancelled` end it."""

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
    """Progress of a node; `chunk` is streamed text. `from_seq`: several events were merged."""

    type: Literal["node_progress"] = "node_progress"
    node_id: NodeId
    progress: float
    total: float
    chunk: str = ""
    from_seq: int | None = None


class OutputUpdate(_Event):
    """An output received a value."""

    type: Literal["output_update"] = "output_update"
    node_id: NodeId
    node_name: str
    output_name: str
    value: Any


class Preview(_Event):
    """A preview of a node's result while the node runs, as a temporary file."""

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
    """A log message."""

    type: Literal["log"] = "log"
    level: Literal["debug", "info", "warning", "error"]
    message: str
    node_id: NodeId | None = None


class ErrorEvent(_Event):
    """An error that did not end the job."""

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
"""Messages of a context's queue."""

Event = Annotated[ProcessingMessage, Field(discriminator="type")]
"""Any event of a job."""

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
"""Validates and serializes any event."""

EVENTS: TypeAdapter[list[Event]] = TypeAdapter(list[Event])
"""Validates and serializes lists of events."""


class EventPage(Request):
    """A page of a job's events. `terminal`: the job has ended, and this is its last page."""

    model_config = {"extra": "ignore"}

    events: list[dict[str, Any]]
    last_seq: int
    terminal: bool


class EventBatch(Request):
    """Events of a worker, each with `client_seq`: 1, 2, 3 … per attempt."""

    events: Annotated[list[dict[str, Any]], Field(max_length=1000)]


class EventsAccepted(Request):
    """Acknowledgement of a worker's events, with the state of its lease."""

    model_config = {"extra": "ignore"}

    last_seq: int
    cancel_requested: bool
    lease_expires_at: Timestamp | None
