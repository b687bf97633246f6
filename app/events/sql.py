"""The text of an event, put together by PostgreSQL where its place is known only there.

The same text as `app.events.log.place` makes: readers of this replica are given that one, and all
others what is stored.
"""

from __future__ import annotations

from app.events.log import Draft


def shared_sql(*, attempt: str, time: str, traceparent: str) -> str:
    """Return the SQL of what all events of a batch have in common."""
    moment = f"to_char({time} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    trace = f"coalesce(',\"traceparent\":\"' || {traceparent} || '\"', '')"
    return f"',\"attempt\":' || {attempt} || ',\"time\":\"' || {moment} || '\"' || {trace}"


def text_sql(*, kind: str, job_id: str, seq: str, shared: str, tail: str) -> str:
    """Return the SQL of an event's text; `shared` and `tail` are SQL like the others."""
    return (
        f'\'{{"type":"\' || {kind} || \'","job_id":"\' || {job_id} || \'","seq":\' || {seq}'
        f" || {shared} || {tail}"
    )


def tail_of(draft: Draft) -> str:
    """Return a draft's end as it follows what its batch has in common."""
    return draft.tail if draft.tail == "}" else f",{draft.tail}"
