"""Envelope of job events: its fields, their order, and their JSON text.

The service puts the envelope in front of the events that workers send. The models of the events,
the stored texts and the AsyncAPI document are derived from the fields listed here.
"""

from __future__ import annotations

from collections.abc import Mapping

from processing_context.wire.base import Id, Request, Timestamp


class Envelope(Request):
    """The fields that the service adds to an event, in order; `type` comes before them."""

    job_id: Id | None = None
    seq: int | None = None
    attempt: int | None = None
    time: Timestamp | None = None
    traceparent: str | None = None


TYPE = "type"
OPTIONAL = frozenset({"traceparent"})
"""Fields that only some events have."""

CLIENT_SEQ = "client_seq"
"""The number that a worker assigns to its events: 1, 2, 3 … in each attempt."""

FROM_SEQ = "from_seq"
"""The first `seq` of a `node_progress` that merges several events."""

SERVICE_FIELDS = frozenset({*Envelope.model_fields, CLIENT_SEQ, FROM_SEQ})
"""The fields that the service removes from an event that a worker sends."""


def _around(name: str, *, is_number: bool) -> tuple[str, str]:
    """Return the JSON text before and after the value of a field."""
    quote = "" if is_number else '"'
    return f'{"{" if name == TYPE else ","}"{name}":{quote}', quote


_AROUND = {TYPE: _around(TYPE, is_number=False)} | {
    name: _around(name, is_number=field.annotation == int | None)
    for name, field in Envelope.model_fields.items()
}
_ORDER = tuple(_AROUND)


def text(values: Mapping[str, str]) -> str:
    """Return the JSON text of the given fields in their order, without the closing brace.

    Args:
        values: The text of each value, without its quotes. Nothing is escaped: ids, numbers, times
            and trace contexts have no character that JSON would escape.
    """
    pieces = []
    for name in sorted(values, key=_ORDER.index):
        before, after = _AROUND[name]
        pieces.append(f"{before}{values[name]}{after}")
    return "".join(pieces)
