"""SQL expressions for the text of an event, where the envelope is known only to PostgreSQL.

The text must be equal to that of `envelope.add_envelope`: local subscribers receive that one, and
all others the stored one.
"""

from __future__ import annotations

from collections.abc import Mapping

from processing_context.wire import envelope

_MARK = "\0"


def shared_sql(*, attempt: str, time: str, traceparent: str) -> str:
    """Return an SQL expression for the fields that all events of a batch share."""
    moment = f"to_char({time} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    always = _concatenated({"attempt": attempt, "time": moment})
    return f"{always} || coalesce({_concatenated({'traceparent': traceparent})}, '')"


def text_sql(*, kind: str, job_id: str, seq: str, shared: str, tail: str) -> str:
    """Return an SQL expression for the text of an event; all arguments are SQL expressions."""
    own = _concatenated({"type": kind, "job_id": job_id, "seq": seq})
    return f"{own} || {shared} || {tail}"


def _concatenated(fields: Mapping[str, str]) -> str:
    """Return an SQL expression for the text of fields whose values are SQL expressions."""
    marked = {name: f"{_MARK}{value}{_MARK}" for name, value in fields.items()}
    parts = envelope.text(marked).split(_MARK)  # alternately literals and values
    return " || ".join(part if at % 2 else f"'{part}'" for at, part in enumerate(parts) if part)
