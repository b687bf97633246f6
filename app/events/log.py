"""The log of a job's events: how an event gets its place, and how the log is read.

An event is encoded once, before any lock is taken. Its place (`seq`, `attempt`, `time`) is put in
front of it as text once it is known, and that text is stored and sent to every reader as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import orjson

from app.database.engine import Database
from app.database.statement import Connection
from app.events import queries
from processing_context.wire import envelope
from processing_context.wire.jobs import ENDED

MAX_SEQ = 2**31 - 1
PAGE_EVENTS = 500
PAGE_BYTES = 1024 * 1024

_PROGRESS = envelope.text({"type": "node_progress"})
_SLOT = "\0"


class Draft(NamedTuple):
    """An encoded event without its envelope; `tail` is its JSON as it follows the envelope."""

    type: str
    tail: str
    is_end: bool


class Stored(NamedTuple):
    """An event as it is stored and sent."""

    seq: int
    text: str
    is_end: bool

    @property
    def is_progress(self) -> bool:
        """Whether it is a `node_progress`."""
        return self.text.startswith(_PROGRESS)


@dataclass(frozen=True)
class Batch:
    """Events of one job that follow each other without a gap: the drafts and their places."""

    job_id: str
    user_id: str
    drafts: Sequence[Draft]
    after: int
    attempt: int
    time: datetime
    traceparent: str | None

    @property
    def last_seq(self) -> int:
        """The `seq` of the last one."""
        return self.after + len(self.drafts)

    @cached_property
    def events(self) -> list[Stored]:
        """The events with their texts; put together when somebody reads them."""
        return place(
            self.drafts,
            job_id=self.job_id,
            after=self.after,
            attempt=self.attempt,
            time=self.time,
            traceparent=self.traceparent,
        )


def draft(event: Mapping[str, Any]) -> Draft:
    """Encode an event; what the service itself adds to it is left out."""
    rest = dict(event)
    kind = rest.pop("type")
    is_end = kind == "job_update" and rest["status"] in ENDED
    tail = f",{orjson.dumps(rest)[1:].decode()}" if rest else "}"
    return Draft(kind, tail, is_end)


def rfc3339(moment: datetime) -> str:
    """Return a moment as it is written in events."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def place(
    drafts: Iterable[Draft],
    *,
    job_id: str,
    after: int,
    attempt: int,
    time: datetime,
    traceparent: str | None,
) -> list[Stored]:
    """Give drafts the places after `after`, and the trace of their job where it has one."""
    fields = {
        "type": _SLOT,
        "job_id": job_id,
        "seq": _SLOT,
        "attempt": str(attempt),
        "time": rfc3339(time),
    }
    if traceparent:
        fields["traceparent"] = traceparent
    start, middle, shared = envelope.text(fields).split(_SLOT)
    return [
        Stored(seq, f"{start}{kind}{middle}{seq}{shared}{tail}", is_end)
        for seq, (kind, tail, is_end) in enumerate(drafts, after + 1)
    ]


async def append(on: Connection, batches: Sequence[Batch], time: datetime) -> None:
    """Store placed events, in the transaction that holds the locks of their jobs' rows."""
    flat = [(batch.job_id, event) for batch in batches for event in batch.events]
    await queries.append(
        on,
        time,
        [job_id for job_id, _ in flat],
        [event.seq for _, event in flat],
        [event.is_end for _, event in flat],
        [event.text for _, event in flat],
    )


class Snapshot(NamedTuple):
    """What is known of a job without its events; `text` is JSON: `{"job": …, "nodes": […]}`."""

    text: str
    last_seq: int
    has_ended: bool


class Snapshots(Protocol):
    """Takes snapshots, from the tables of jobs and of nodes."""

    async def snapshot(self, job_id: str) -> Snapshot | None:
        """Return that of a job; None when it does not exist."""
        ...


class EventLog:
    """Reads the logs of jobs."""

    def __init__(self, db: Database, snapshots: Snapshots) -> None:
        self._db = db
        self._snapshots = snapshots

    async def after(
        self,
        job_id: str,
        seq: int,
        *,
        known: int = 0,
        limit: int = PAGE_EVENTS,
        max_bytes: int = PAGE_BYTES,
    ) -> list[Stored]:
        """Return the next events after `seq`; none only where there are none.

        Where retention has removed the first of them, a `gap` stands for those: a frame that has
        the `seq` of the last one. A log has no other holes, and loses nothing but its beginning.

        Args:
            job_id: The job.
            seq: The last event that the reader has.
            known: How far the log reached when this was called, where the reader knows.
            limit: How many events.
            max_bytes: No more events once they have as many bytes.
        """
        rows = await queries.after(self._db.pool, job_id, seq, limit=limit, max_bytes=max_bytes)
        events = [Stored(row["seq"], row["body"], row["is_end"]) for row in rows]
        missing_to = events[0].seq - 1 if events else known
        if missing_to > seq and (gap := await self._gap(job_id, seq + 1, missing_to)) is not None:
            return [gap, *events]
        return events

    async def _gap(self, job_id: str, first: int, last: int) -> Stored | None:
        snapshot = await self._snapshots.snapshot(job_id)
        if snapshot is None:
            return None
        return Stored(
            last,
            f'{{"type":"gap","job_id":"{job_id}","from":{first},"to":{last},'
            f'"snapshot":{snapshot.text}}}',
            is_end=snapshot.has_ended and last >= snapshot.last_seq,
        )
