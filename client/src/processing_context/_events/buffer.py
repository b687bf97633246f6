"""Buffer of events that wait to be sent: progress is merged, batches have a size limit."""

from __future__ import annotations

import json
import math
from collections import deque
from dataclasses import dataclass
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

MAX_EVENT_BYTES = 64 * 1024
MAX_BATCH_EVENTS = 500
MAX_BATCH_BYTES = 1024 * 1024
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


class Pending:
    """Events that are in no batch yet, in order; not thread-safe.

    A `node_progress` is merged into an earlier one of its node, unless another event of that node,
    or an event without a node, was added in between.
    """

    def __init__(self) -> None:
        self._entries: deque[bytes | _Progress] = deque()
        self._open: dict[str, _Progress] = {}
        self.size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, message: ProcessingMessage | Encoded) -> None:
        """Add an event.

        Raises:
            ValueError: The event is larger than 64 KiB, or has no JSON form.
        """
        node_id: str | None
        if isinstance(message, Encoded):
            node_id, encoded = message.node_id, _fitting("node_update", message.body)
        elif isinstance(message, NodeProgress):
            self._add_progress(message)
            return
        else:
            node_id, encoded = getattr(message, "node_id", None), encode(message)
        if node_id is None:
            self._open.clear()
        elif self._open:
            self._open.pop(node_id, None)
        self._entries.append(encoded)
        self.size += len(encoded)

    def take_batch(self) -> list[bytes]:
        """Remove and return the next events, as many as fit into a batch."""
        batch: list[bytes] = []
        size = 0
        while self._entries and len(batch) < MAX_BATCH_EVENTS:
            entry = self._entries[0]
            encoded = entry.encode() if isinstance(entry, _Progress) else entry
            if batch and size + len(encoded) + _NUMBERING_BYTES > MAX_BATCH_BYTES:
                break
            self._entries.popleft()
            if isinstance(entry, _Progress):
                self.size -= entry.size
                if self._open.get(entry.node_id) is entry:
                    del self._open[entry.node_id]
            else:
                self.size -= len(entry)
            size += len(encoded) + _NUMBERING_BYTES
            batch.append(encoded)
        return batch

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
            self._entries.append(before)
            self.size += size
        else:
            before.size += chunk_size
            self.size += chunk_size
        before.progress, before.total = message.progress, message.total
        if message.chunk:
            before.chunks.append(message.chunk)


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
