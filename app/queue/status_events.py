"""Events of the service itself: a job is queued or running."""

from __future__ import annotations

from app.events.envelope import EncodedEvent, encode
from app.events.sql import shared_sql, text_sql

QUEUED = encode({"type": "job_update", "status": "queued"})
RUNNING = encode({"type": "job_update", "status": "running"})


def event_text_sql(
    event: EncodedEvent, *, job_id: str, seq: str, attempt: str, time: str, traceparent: str
) -> str:
    """Return an SQL expression for the text of an event; the other arguments are SQL too."""
    return text_sql(
        kind=f"'{event.type}'",
        job_id=job_id,
        seq=seq,
        shared=shared_sql(attempt=attempt, time=time, traceparent=traceparent),
        tail=f"'{event.tail}'",
    )
