"""Transitions of jobs: row, lease and event change together, and are told after the commit.

Whoever changes a job holds the lock of its row. Locks are taken from parent to child and from job
to lease.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from app.database.engine import Database
from app.database.statement import Connection
from app.events import log
from app.events import queries as event_queries
from app.events.broadcaster import Hub
from app.events.log import Batch
from app.jobs import queries
from app.queue import lease_queries
from app.queue.end_webhook import tell_end
from app.queue.waiting_claims import Bell, Needs
from app.runtime import metrics
from app.webhooks.service import WebhookService
from processing_context.wire.jobs import ENDED

CANCELLED = {"code": "cancelled", "message": "The job was cancelled."}


class Ledger:
    """The changes of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.batches: list[Batch] = []
        self.queued: list[Needs] = []
        self.ended: list[str] = []
        self.is_to_tell = False

    async def cancel(self, job: asyncpg.Record) -> None:
        """Cancel a locked job in any state, and those it started."""
        if job["status"] in ENDED or job["cancel_requested_at"] is not None:
            return
        await queries.request_cancel(self.connection, job["id"], job["now"])
        if job["status"] == "queued":
            await self.end(job, "cancelled", error=CANCELLED)
        else:
            await self._cancel_children(job["id"])

    async def end(self, job: asyncpg.Record, status: str, *, error: Mapping[str, Any]) -> None:
        """End a locked job that did not end itself."""
        event = {"type": "job_update", "status": status, "error": error}
        seq = await self._say(job, event, attempt=job["attempt"])
        await self.ended_by_itself(job, status, error=error, result=None, last_seq=seq)

    async def ended_by_itself(
        self,
        job: asyncpg.Record,
        status: str,
        *,
        error: Mapping[str, Any] | None,
        result: Mapping[str, Any] | None,
        last_seq: int,
    ) -> None:
        """End a locked job whose last event is already stored."""
        now: datetime = job["now"]
        ended = await queries.end(
            self.connection,
            job["id"],
            status=status,
            error=error,
            result=result,
            now=now,
            last_seq=last_seq,
        )
        if ended["webhook"] is not None:
            self.is_to_tell |= await tell_end(self.connection, job, ended["webhook"])
        if ended["has_children"] and status != "completed":
            await self._cancel_children(job["id"])
        self.ended.append(status)

    async def give_back(
        self, job: asyncpg.Record, message: str, *, counts: bool, delay_s: float = 0
    ) -> None:
        """Put a locked, running job back into the queue, unless it is to be cancelled.

        Args:
            job: Its state.
            message: Why.
            counts: Whether the attempt counts, so that a new one begins.
            delay_s: How long it waits there at least.
        """
        if job["cancel_requested_at"] is not None:
            await self.end(job, "cancelled", error=CANCELLED)
            return
        attempt = job["attempt"] + 1 if counts else job["attempt"]
        event = {"type": "job_update", "status": "queued", "message": message}
        seq = await self._say(job, event, attempt=attempt)
        available_at = job["now"] + timedelta(seconds=delay_s)
        await queries.requeue(
            self.connection, job["id"], attempt=attempt, last_seq=seq, available_at=available_at
        )
        await lease_queries.end_of(self.connection, job["id"], job["now"])
        await event_queries.forget_nodes(self.connection, job["id"])
        await self._cancel_children(job["id"])
        if not delay_s:
            self.queued.append(
                Needs(job["user_id"], job["required_capabilities"], job["node_types"])
            )

    async def _say(self, job: asyncpg.Record, event: Mapping[str, Any], *, attempt: int) -> int:
        """Store one event of the service's own; returns its `seq`."""
        batch = Batch(
            job["id"],
            job["user_id"],
            [log.draft(event)],
            after=job["last_seq"],
            attempt=attempt,
            time=job["now"],
            traceparent=job["traceparent"],
        )
        await log.append(self.connection, [batch], job["now"])
        self.batches.append(batch)
        return batch.last_seq

    async def _cancel_children(self, job_id: str) -> None:
        for child in await queries.lock_children(self.connection, job_id):
            await self.cancel(child)


class Ledgers:
    """Opens transactions on jobs and spreads what they did."""

    def __init__(self, db: Database, hub: Hub, bell: Bell, webhooks: WebhookService) -> None:
        self._db = db
        self._hub = hub
        self._bell = bell
        self._webhooks = webhooks

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Ledger]:
        """One transaction; once it is committed, readers and waiting workers learn of it."""
        async with self._db.transaction() as connection:
            ledger = Ledger(connection)
            yield ledger
        self.spread(ledger.batches, queued=ledger.queued, ended=ledger.ended)
        if ledger.is_to_tell:
            self._webhooks.wake_dispatcher()

    def spread(
        self,
        batches: Sequence[Batch],
        *,
        queued: Sequence[Needs] = (),
        ended: Sequence[str] = (),
    ) -> None:
        """Tell readers and waiting workers what was committed."""
        self._hub.publish(batches)
        for needs in queued:
            self._bell.ring(needs)
        metrics.EVENTS_STORED.inc(sum(len(batch.drafts) for batch in batches))
        for status in ended:
            metrics.JOBS_ENDED.labels(status).inc()
