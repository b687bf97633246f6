"""Event log: reads the stored events of jobs."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from app.database.engine import Database
from app.events import job_queries, queries
from app.events.envelope import FRAME_SEPARATOR, StoredEvent
from app.events.job_queries import LogPosition
from app.events.snapshot import take_snapshot

MAX_SEQ = 2**31 - 1
PAGE_EVENTS = 500
PAGE_BYTES = 1024 * 1024


class EventLog:
    """Reads the event logs of jobs."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def after(
        self,
        job_id: str,
        seq: int,
        *,
        known: int = 0,
        limit: int = PAGE_EVENTS,
        max_bytes: int = PAGE_BYTES,
    ) -> list[StoredEvent]:
        """Return the next events after `seq`; the list is empty only at the end of the log.

        A gap replaces events that retention has removed; it has the `seq` of the last of them, and
        one or more frames. Retention only removes events from the beginning of a log, so there are
        no other gaps.

        Args:
            job_id: The job.
            seq: The `seq` of the last event that the reader has.
            known: The end of the log at the time of the call, if the reader knows it.
            limit: The maximum number of events.
            max_bytes: Size of the events from which no more are added.
        """
        events = await queries.after(self._db.pool, job_id, seq, limit=limit, max_bytes=max_bytes)
        missing_to = events[0].seq - 1 if events else known
        if missing_to > seq and (gap := await self._gap(job_id, seq + 1, missing_to)) is not None:
            return [gap, *events]
        return events

    async def positions(self, job_ids: Collection[str]) -> dict[str, LogPosition]:
        """Return the ends of the logs of jobs, without jobs that do not exist."""
        found = await job_queries.log_positions(self._db.pool, job_ids)
        return {position.job_id: position for position in found}

    async def positions_of_users(
        self, user_ids: Collection[str], look_back: timedelta
    ) -> list[LogPosition]:
        """Return the log ends of users' jobs that have not ended or ended within `look_back`."""
        return await job_queries.log_positions_of_users(self._db.pool, user_ids, look_back)

    async def _gap(self, job_id: str, first: int, last: int) -> StoredEvent | None:
        snapshot = await take_snapshot(self._db.pool, job_id)
        if snapshot is None:
            return None
        start = f'{{"type":"gap","job_id":"{job_id}","from":{first},"to":{last},"snapshot":'
        *others, final = snapshot.parts
        frames = [*(f'{start}{part},"more":true}}' for part in others), f"{start}{final}}}"]
        return StoredEvent(
            last,
            FRAME_SEPARATOR.join(frames),
            is_end=snapshot.has_ended and last >= snapshot.last_seq,
        )
