"""Buffer of events that wait to be sent: progress is merged, batches have a size limit."""

from __future__ import annotations

import json
import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from processing_context._events.encoded_event import Encoded
from processing_context._transport.api import dumps
from processing_context.wire.envelope import CLIENT_SEQ, SERVICE_FIELDS
from processing_context.wire.events import (
    EVENT,
    NodeProgress,
    OutputUpdate,
    ProcessingMessage,
)
from processing_context.wire.jobs import ENDED

MAX_EVENT_BYTES = 64 * 1024
MAX_BATCH_EVENTS = 500
MAX_BATCH_BYTES = 1024 * 1024
MAX_BATCH_LINES = 100
MAX_PENDING_EVENTS = 10_000
MAX_PENDING_BYTES = 16 * 1024 * 1024
MAX_LANE_EVENTS = 1_000
MAX_LANE_BYTES = 1024 * 1024
MAX_UNPACED_BYTES = 64 * 1024 * 1024
"""Limit of the lines of one node. Threads and processes wait before, but the loop cannot."""

_MESSAGES = frozenset(get_args(ProcessingMessage))
_NUMBERED = b'{"%s":%%d,%%s' % CLIENT_SEQ.encode()
_NUMBERING_BYTES = 40  # the number, and the comma after the event


@dataclass
class _Progress:
    """Event `node_progress` into which later progress of the node can be merged."""

    node_id: str
    progress: float
    total: float
    chunks: list[str]
    size: int

    def encode(self) -> bytes:
        chunk = "".join(self.chunks)
        event = {"type": "node_progress", "node_id": self.node_id}
        return dumps(event | {"progress": self.progress, "total": self.total, "chunk": chunk})


@dataclass
class _Omitted:
    """Number of `log` events of a node that exceeded the buffer."""

    node_id: str
    count: int = 0

    def encode(self) -> bytes:
        message = f"{self.count} log lines omitted: they came faster than they could be sent"
        event = {"type": "log", "level": "warning", "message": message, "node_id": self.node_id}
        return dumps(event)


_Entry = bytes | _Progress | _Omitted


class Pending:
    """Events that are in no batch yet; not thread-safe.

    Events are in order, with one exception: `log` events of a node, and what follows them from the
    same node, form a lane of their own. Thus a node that prints much does not delay the events of
    others. The event that ends the job is the last one.

    A `node_progress` is merged into an earlier one of its node, unless another event of that node,
    or an event without a node, was added in between.
    """

    def __init__(self) -> None:
        self._main: deque[_Entry] = deque()
        self._lanes: dict[str, _Lane] = {}
        self._end: bytes | None = None
        self._open: dict[str, _Progress] = {}
        self.size = 0

    def __len__(self) -> int:
        lanes = sum(len(lane.entries) for lane in self._lanes.values())
        return len(self._main) + lanes + (self._end is not None)

    def has_room(self, node_id: str | None = None, *, is_log: bool = False) -> bool:
        """Return True if the buffer is below the limit for an event of a node."""
        lane = self._lanes.get(node_id) if node_id is not None else None
        if lane is not None:
            return len(lane.entries) < MAX_LANE_EVENTS and lane.size < MAX_LANE_BYTES
        if is_log and node_id is not None:
            return True
        return len(self._main) < MAX_PENDING_EVENTS and self.size < MAX_PENDING_BYTES

    def add(self, message: ProcessingMessage | Encoded) -> None:
        """Add an event.

        Raises:
            ValueError: The event is larger than 64 KiB, or has no JSON form.
        """
        if isinstance(message, NodeProgress):
            self._add_progress(message)
            return
        node_id: str | None = getattr(message, "node_id", None)
        if isinstance(message, Encoded):
            encoded = _fitting(message.type, message.body)
        else:
            encoded = encode(message)
        if node_id is None:
            self._open.clear()
        elif self._open:
            self._open.pop(node_id, None)
        if message.type == "log" and node_id is not None:
            self._add_log(node_id, encoded)
        elif message.type == "job_update" and getattr(message, "status", None) in ENDED:
            self._end = encoded
        else:
            self._append(node_id, encoded, len(encoded))

    def take_batch(self) -> list[bytes]:
        """Remove and return the next events, as many as fit into a batch."""
        # A share for lines: they neither fill a batch, for which all others wait, nor wait forever.
        lines = min(MAX_BATCH_LINES, sum(len(lane.entries) for lane in self._lanes.values()))
        batch = _Batch(MAX_BATCH_EVENTS - lines)
        while self._main and batch.add(self._main[0]):
            self.size -= self._closed(self._main.popleft())
        batch.limit = len(batch.events) + lines
        while self._lanes:
            node_id, lane = next(iter(self._lanes.items()))
            if not batch.add(lane.entries[0]):
                break
            lane.size -= self._closed(lane.entries.popleft())
            del self._lanes[node_id]
            if lane.entries:
                self._lanes[node_id] = lane  # in turn: behind the others
        batch.limit = MAX_BATCH_EVENTS
        if self._end is not None and not self._main and not self._lanes and batch.add(self._end):
            self._end = None
        return batch.events

    def join_lane(self, node_id: str) -> bool:
        """Put the last waiting lines of a node in front of all later events.

        Returns:
            False if there are still too many of them.
        """
        lane = self._lanes.get(node_id)
        if lane is None:
            return True
        if len(lane.entries) > MAX_BATCH_LINES:
            return False
        self._main += lane.entries
        self.size += lane.size
        del self._lanes[node_id]
        return True

    def _append(self, node_id: str | None, entry: _Entry, size: int) -> None:
        lane = self._lanes.get(node_id) if node_id is not None else None
        if lane is None:
            self._main.append(entry)
            self.size += size
        else:
            lane.entries.append(entry)
            lane.size += size

    def _add_log(self, node_id: str, encoded: bytes) -> None:
        lane = self._lanes.setdefault(node_id, _Lane())
        if lane.size < MAX_UNPACED_BYTES:
            lane.entries.append(encoded)
            lane.size += len(encoded)
            return
        last = lane.entries[-1]
        if not isinstance(last, _Omitted):
            last = _Omitted(node_id)
            lane.entries.append(last)
        last.count += 1

    def _closed(self, entry: _Entry) -> int:
        """Return the size of an entry that was taken, into which nothing more is merged."""
        if isinstance(entry, _Progress):
            if self._open.get(entry.node_id) is entry:
                del self._open[entry.node_id]
            return entry.size
        return len(entry) if isinstance(entry, bytes) else 0

    def _add_progress(self, message: NodeProgress) -> None:
        if not (math.isfinite(message.progress) and math.isfinite(message.total)):
            raise ValueError(
                f"progress={message.progress} and total={message.total} must be finite numbers"
            )
        before = self._open.get(message.node_id)
        chunk_size = len(json.dumps(message.chunk, ensure_ascii=False).encode())
        if before is None or before.size + chunk_size > MAX_EVENT_BYTES:
            size = len(encode(message))
            before = _Progress(message.node_id, 0, 0, [], size)
            self._open[message.node_id] = before
            self._append(message.node_id, before, size)
        else:
            before.size += chunk_size
            lane = self._lanes.get(message.node_id)
            if lane is None:
                self.size += chunk_size
            else:
                lane.size += chunk_size
        before.progress, before.total = message.progress, message.total
        if message.chunk:
            before.chunks.append(message.chunk)


@dataclass
class _Lane:
    """Waiting `log` events of a node, and the events of the node that came after them."""

    entries: deque[_Entry] = field(default_factory=deque)
    size: int = 0


@dataclass
class _Batch:
    """A batch that is being filled."""

    limit: int
    events: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, entry: _Entry) -> bool:
        """Add an entry; return False if the batch has no room for it."""
        if len(self.events) >= self.limit:
            return False
        encoded = entry if isinstance(entry, bytes) else entry.encode()
        size = len(encoded) + _NUMBERING_BYTES
        if self.events and self.size + size > MAX_BATCH_BYTES:
            return False
        self.events.append(encoded)
        self.size += size
        return True


def parse(message: ProcessingMessage | dict[str, Any]) -> ProcessingMessage:
    """Return a message as its model; a dict of the same shape is converted.

    Raises:
        ValueError: The message does not fit any model.
    """
    if type(message) in _MESSAGES:
        return cast("ProcessingMessage", message)
    return EVENT.validate_python(message)


def encode(message: ProcessingMessage) -> bytes:
    """Return the JSON of an event as a worker sends it, without its number.

    Raises:
        ValueError: The event is larger than 64 KiB, or has no JSON form.
    """
    if isinstance(message, OutputUpdate) and message.value is None:  # null is a value
        fields = message.model_dump(exclude={*SERVICE_FIELDS}, exclude_none=True)
        encoded = dumps(fields | {"value": None})
    else:
        # Excluding fields takes as long as the rest of the serialization, and is rarely necessary.
        excluded = message.model_fields_set & SERVICE_FIELDS or None
        encoded = message.__pydantic_serializer__.to_json(
            message, exclude=excluded, exclude_none=True
        )
        if b"NaN" in encoded or b"Infinity" in encoded:
            dumps(message)  # raises, unless it is only part of a text
    return _fitting(message.type, encoded)


def _fitting(kind: str, encoded: bytes) -> bytes:
    if len(encoded) > MAX_EVENT_BYTES:
        raise ValueError(
            f"the {kind} event has {len(encoded)} bytes, more than the limit of "
            f"{MAX_EVENT_BYTES}: store the value as a temporary file and send a ref"
        )
    return encoded


def numbered(events: list[bytes], first: int) -> bytes:
    """Return the body of a batch whose events are numbered from `first`."""
    bodies = (_NUMBERED % (number, event[1:]) for number, event in enumerate(events, first))
    return b'{"events":[' + b",".join(bodies) + b"]}"
