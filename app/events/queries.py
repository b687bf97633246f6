"""Statements on the events of a job."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from app.database.statement import Executor, Query, Statement
from app.events import node_queries
from app.events.envelope import StoredEvent
from app.runtime.ids import created_at

CLOCK_MARGIN = timedelta(days=1)
"""Tolerated difference of the clock that dates job ids and PostgreSQL's, which dates events."""

_AFTER = Query(
    """
select seq, body as text, is_end from (
    select seq, body, is_end,
        sum(octet_length(body)) over (order by seq) - octet_length(body) as bytes_before
    from (
        select seq, body, is_end from job_events
        where job_id = :job_id and seq > :seq and time >= :since
        order by seq limit :limit
    ) page
) sized
where bytes_before < :max_bytes order by seq""",
    StoredEvent,
)
_INSERT = Statement(
    """
insert into job_events (job_id, seq, time, is_end, body)
values (:job_id, :seq, :time, :is_end, :text)"""
)
_DELETE_ALL = Statement("delete from job_events where job_id = any(:job_ids) and time >= :since")


def _since(job_id: str) -> datetime:
    """Return a time before the job's first event, so that older partitions are not scanned."""
    return created_at(job_id) - CLOCK_MARGIN


async def after(
    on: Executor, job_id: str, seq: int, *, limit: int, max_bytes: int
) -> list[StoredEvent]:
    """Return events after `seq`, at most `limit`, and none after the first `max_bytes`."""
    return await _AFTER.all(
        on, job_id=job_id, seq=seq, since=_since(job_id), limit=limit, max_bytes=max_bytes
    )


async def insert(on: Executor, job_id: str, event: StoredEvent, time: datetime) -> None:
    """Insert an event; the transaction must hold the lock of the job's row."""
    await _INSERT.execute(on, job_id=job_id, time=time, **event._asdict())


async def delete_all(on: Executor, job_ids: Sequence[str]) -> None:
    """Delete all events of jobs, and the states of their nodes."""
    await node_queries.delete_all(on, job_ids)
    await _DELETE_ALL.execute(on, job_ids=job_ids, since=_since(min(job_ids)))
