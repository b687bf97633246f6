"""Limit of the number of events of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.events.envelope import encode
from app.events.event_batch import PostedEvent


def within_limit(events: Sequence[PostedEvent], *, room: int) -> tuple[Sequence[PostedEvent], int]:
    """Return the events to store, and the number of those that are dropped.

    Args:
        events: New events.
        room: Number of events up to the limit. Past it, `log` and progress without text are
            dropped; other events are always stored.
    """
    kept: list[PostedEvent] = []
    for event in events:
        if len(kept) < room or not _can_be_dropped(event.event):
            kept.append(event)
    return kept, len(events) - len(kept)


def dropped_notice(count: int) -> Mapping[str, Any]:
    """Return the last `log` event of a job of which events were dropped."""
    message = f"{count} log lines and progress events dropped: the job has too many events"
    return {"type": "log", "level": "warning", "message": message}


def with_notice(events: Sequence[PostedEvent], count: int) -> Sequence[PostedEvent]:
    """Return the events with the notice of dropped ones before the event that ends the job."""
    notice = dropped_notice(count)
    *before, end = events
    return [*before, PostedEvent(end.client_seq, notice, encode(notice)), end]


def _can_be_dropped(event: Mapping[str, Any]) -> bool:
    return event["type"] == "log" or (event["type"] == "node_progress" and not event.get("chunk"))
