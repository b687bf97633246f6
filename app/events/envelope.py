"""Encoding of events, and their envelope.

An event is encoded once, before any lock is taken. Its envelope (`seq`, `attempt`, `time`) is
prepended as text when it is known. That text is stored, and sent to all subscribers unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

import orjson

from processing_context.wire import envelope
from processing_context.wire.jobs import ENDED

_PROGRESS = envelope.text({"type": "node_progress"})
_SLOT = "\0"

FRAME_SEPARATOR = "\n"
"""Separates the frames in the text of a gap; JSON texts have no line breaks."""


class EncodedEvent(NamedTuple):
    """An event without its envelope; `tail` is the JSON that follows the envelope."""

    type: str
    tail: str
    is_end: bool


class StoredEvent(NamedTuple):
    """An event in the form that is stored and sent, or a gap, which may have several frames."""

    seq: int
    text: str
    is_end: bool

    @property
    def frames(self) -> list[str]:
        """The frames to send, all but the last one of them for a gap."""
        return self.text.split(FRAME_SEPARATOR)

    @property
    def is_progress(self) -> bool:
        """True for a `node_progress` event."""
        return self.text.startswith(_PROGRESS)


@dataclass(frozen=True)
class LogBatch:
    """Consecutive events of the log of one job, with the fields of their envelopes."""

    job_id: str
    user_id: str
    encoded: Sequence[EncodedEvent]
    after: int
    attempt: int
    time: datetime
    traceparent: str | None

    @property
    def last_seq(self) -> int:
        """The `seq` of the last event."""
        return self.after + len(self.encoded)

    @cached_property
    def events(self) -> list[StoredEvent]:
        """The events with their texts, which are created on first use."""
        return add_envelope(
            self.encoded,
            job_id=self.job_id,
            after=self.after,
            attempt=self.attempt,
            time=self.time,
            traceparent=self.traceparent,
        )


def encode(event: Mapping[str, Any]) -> EncodedEvent:
    """Encode an event that has no envelope fields."""
    rest = dict(event)
    kind = rest.pop("type")
    is_end = kind == "job_update" and rest["status"] in ENDED
    tail = f",{orjson.dumps(rest)[1:].decode()}" if rest else "}"
    return EncodedEvent(kind, tail, is_end)


def add_envelope(
    encoded: Iterable[EncodedEvent],
    *,
    job_id: str,
    after: int,
    attempt: int,
    time: datetime,
    traceparent: str | None,
) -> list[StoredEvent]:
    """Return events with their envelopes, numbered from `after` + 1."""
    fields = {
        "type": _SLOT,
        "job_id": job_id,
        "seq": _SLOT,
        "attempt": str(attempt),
        "time": _rfc3339(time),
    }
    if traceparent:
        fields["traceparent"] = traceparent
    start, middle, shared = envelope.text(fields).split(_SLOT)
    return [
        StoredEvent(seq, f"{start}{kind}{middle}{seq}{shared}{tail}", is_end)
        for seq, (kind, tail, is_end) in enumerate(encoded, after + 1)
    ]


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
