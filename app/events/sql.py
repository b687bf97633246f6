"""SQL expressions of an event's text, for statements where only PostgreSQL knows the envelope.

They give the same text as `envelope.add_envelope`: subscribers of this replica receive that
one, and all others the stored one.
"""

from __future__ import annotations

from collections.abc import Mapping

from processing_context.wire import envelope

_MARK = "\0"


def shared_sql(*, attempt: str, time: str, traceparent: str) -> str:
    """Return the SQL of the fields that all events of a batch have in common."""
    moment = f"to_char({time} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    always = _concatenated({"attempt": attempt, "time": moment})
    return f"{always} || coalesce({_concatenated({'traceparent': traceparent})}, '')"


def text_sql(*, kind: str, job_id: str, seq: str, shared: str, tail: str) -> str:
    """Return the SQL of an event's text; `shared` and `tail` are SQL like the others."""
    own = _concatenated({"type": kind, "job_id": job_id, "seq": seq})
    return f"{own} || {shared} || {tail}"


def _concatenated(fields: Mapping[str, str]) -> str:
    """Return the SQL of the text of some fields whose values are SQL."""
    marked = {name: f"{_MARK}{value}{_MARK}" for name, value in fields.items()}
    parts = envelope.text(marked).split(_MARK)  # literals and values by turns
    return " || ".join(part if at % 2 else f"'{part}'" for at, part in enumerate(parts) if part)
