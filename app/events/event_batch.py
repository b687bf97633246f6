"""Validation and encoding of the event batches that workers post."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import pydantic

from app.database.engine import dumps
from app.events.envelope import EncodedEvent, encode
from app.events.errors import EventTooLarge
from app.http.problems import ProblemError, validation_problem
from processing_context.wire.envelope import CLIENT_SEQ, SERVICE_FIELDS
from processing_context.wire.events import EVENTS
from processing_context.wire.jobs import ENDED

MAX_CLIENT_SEQ = 2**31 - 1


class PostedEvent(NamedTuple):
    """A validated event of a batch."""

    client_seq: int
    event: Mapping[str, Any]
    encoded: EncodedEvent

    @property
    def end_status(self) -> str | None:
        """The final status of the job, if the event ends it."""
        return str(self.event["status"]) if self.encoded.is_end else None


@dataclass(frozen=True, slots=True)
class PostedBatch:
    """A batch of events of one job, with the token of the job's lease.

    `dropped`: the number of events of the worker that `events` does not contain; `added`: of those
    that it contains besides the worker's.
    """

    job_id: str
    token_hash: bytes
    events: Sequence[PostedEvent]
    first_client_seq: int
    dropped: int = 0
    added: int = 0

    @classmethod
    def of(cls, job_id: str, token_hash: bytes, events: Sequence[PostedEvent]) -> Self:
        """Return a batch of all events that a worker has posted."""
        return cls(job_id, token_hash, events, events[0].client_seq if events else 1)

    @property
    def client_count(self) -> int:
        """The number of events that the worker has posted."""
        return len(self.events) + self.dropped - self.added

    @property
    def result(self) -> str | None:
        """The result as JSON text, if the batch completes the job."""
        last = self.events[-1]
        return dumps(last.event["result"]) if last.end_status == "completed" else None

    @property
    def progress(self) -> float | None:
        """The last progress of the whole job in the batch, if there is any."""
        for posted in reversed(self.events):
            if posted.event["type"] == "job_update" and posted.event.get("progress") is not None:
                return float(posted.event["progress"])
        return None


def _wrong(index: int, field: str, message: str) -> ProblemError:
    return validation_problem(
        [{"loc": ("body", "events", index, field), "msg": message, "type": "value_error"}]
    )


def read_batch(
    events: Sequence[Mapping[str, Any]], *, job_id: str, max_event_bytes: int
) -> list[PostedEvent]:
    """Validate and encode the events of a batch.

    Raises:
        ValidationFailed: An event is invalid or belongs to another job, or the client_seq values
            are not consecutive.
        EventTooLarge: An event is larger than the limit.
    """
    bare = [_bare(index, raw, job_id) for index, raw in enumerate(events)]
    try:
        EVENTS.validate_python(bare, strict=True)
    except pydantic.ValidationError as exc:
        errors: list[dict[str, Any]] = [
            {"loc": ("body", "events", *e["loc"]), "msg": e["msg"], "type": e["type"]}
            for e in exc.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise validation_problem(errors) from None
    posted = [
        _encoded(index, raw[CLIENT_SEQ], event, max_event_bytes)
        for index, (raw, event) in enumerate(zip(events, bare, strict=True))
    ]
    for index, item in enumerate(posted[1:], 1):
        before = posted[index - 1]
        if item.client_seq != before.client_seq + 1:
            raise _wrong(
                index, CLIENT_SEQ, f"must be {before.client_seq + 1}, after {before.client_seq}"
            )
        if before.encoded.is_end:
            raise _wrong(index, "type", "follows the event that ends the job, which must be last")
    return posted


def _bare(index: int, raw: Mapping[str, Any], job_id: str) -> dict[str, Any]:
    """Return an event without the fields that the service sets."""
    client_seq = raw.get(CLIENT_SEQ)
    if type(client_seq) is not int or not 1 <= client_seq <= MAX_CLIENT_SEQ:
        raise _wrong(index, CLIENT_SEQ, "must be an integer, counted from 1 in each attempt")
    if raw.get("job_id") not in (None, job_id):
        raise _wrong(index, "job_id", f"must be {job_id}, the job that the events are posted to")
    event = dict(raw)
    for key in SERVICE_FIELDS & raw.keys():
        del event[key]
    return event


def _encoded(
    index: int, client_seq: int, event: dict[str, Any], max_event_bytes: int
) -> PostedEvent:
    if event["type"] == "job_update":
        _complete(index, event)
    elif event["type"] == "node_progress":
        event.setdefault("chunk", "")
    encoded = encode(event)
    # A character has at most four bytes, so the bytes of a short text need not be counted.
    size = len(encoded.tail) - 1  # without the comma
    if size * 4 > max_event_bytes and (size := len(encoded.tail.encode()) - 1) > max_event_bytes:
        raise EventTooLarge(
            f"Event {client_seq} ({event['type']}) has {size} bytes; the limit is "
            f"{max_event_bytes}. Store the value in a temporary file or an asset and send its ref."
        )
    return PostedEvent(client_seq, event, encoded)


def _complete(index: int, event: dict[str, Any]) -> None:
    """Add the fields that are required at the end of a job."""
    status = event["status"]
    if status == "queued":
        raise _wrong(index, "status", "cannot be queued: release the job with POST …/release")
    if status not in ENDED:
        return
    if status == "completed":
        if event.get("result") is None:
            event["result"] = {}
    elif event.get("error") is None:
        code = "node_failed" if status == "failed" else "cancelled"
        usual = "The job failed." if status == "failed" else "The job was cancelled."
        event["error"] = {"code": code, "message": event.get("message") or usual}
