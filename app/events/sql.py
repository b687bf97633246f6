"""SQL expressions that statements share.

PostgreSQL makes the text of an event where only it knows the envelope. The text must be equal to
that of `envelope.add_envelope`: local subscribers receive that one, and all others the stored one.
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


def unindexed(column: str) -> str:
    """Return an SQL expression for a text column that does not match the indexes of the column.

    A row that is found by its key must not be looked for in a partial index: while statistics say
    that the index is almost empty, the planner would read it all, with all its dead entries.
    """
    return f"({column} || '')"


def unindexed_null(column: str) -> str:
    """Return the condition that a time is null, in a form that does not match partial indexes."""
    return f"coalesce({column}, 'infinity') = 'infinity'"


def _concatenated(fields: Mapping[str, str]) -> str:
    """Return an SQL expression for the text of fields whose values are SQL expressions."""
    marked = {name: f"{_MARK}{value}{_MARK}" for name, value in fields.items()}
    parts = envelope.text(marked).split(_MARK)  # alternately literals and values
    return " || ".join(part if at % 2 else f"'{part}'" for at, part in enumerate(parts) if part)
