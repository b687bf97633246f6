"""Transitions of jobs: row, lease and event change in one transaction and are then published.

A transaction that changes a job holds the lock of its row. Locks are taken from parent to child and
from job to lease.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from app.database.engine import Database
from app.database.statement import Connection
from app.events import node_queries
from app.events import queries as event_queries
from app.events.broadcaster import Broadcaster
from app.events.envelope import LogBatch, encode
from app.events.event_limit import dropped_notice
from app.queue import job_queries, lease_queries
from app.queue.end_webhook import enqueue_end_webhook
from app.queue.job_queries import LockedJob
from app.queue.waiting_claims import JobRequirements, WaitingClaims
from app.runtime import metrics
from app.webhooks.service import WebhookService
from processing_context.wire.jobs import ENDED

CANCELLED = {"code": "cancelled", "message": "The job was cancelled."}


class JobTransaction:
    """Transitions of jobs in one transaction; collects the events to publish after the commit."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.batches: list[LogBatch] = []
        self.queued: list[JobRequirements] = []
        self.ended: list[str] = []
        self.has_webhooks = False

    async def cancel(self, job: LockedJob) -> None:
        """Cancel a locked job and its child jobs; an ended job does not change."""
        if job.status in ENDED or job.cancel_requested_at is not None:
            return
        await job_queries.request_cancel(self.connection, job.id, job.now)
        if job.status == "queued":
            await self.end(job, "cancelled", error=CANCELLED)
        else:
            await self._cancel_children(job.id)

    async def end(self, job: LockedJob, status: str, *, error: Mapping[str, Any]) -> None:
        """End a locked job on behalf of the service, with an event."""
        events: list[Mapping[str, Any]] = [{"type": "job_update", "status": status, "error": error}]
        if job.dropped_events:
            events.insert(0, dropped_notice(job.dropped_events))
        seq = await self._append_events(job, *events, attempt=job.attempt)
        await self.store_end(job, status, error=error, result=None, last_seq=seq)

    async def store_end(
        self,
        job: LockedJob,
        status: str,
        *,
        error: Mapping[str, Any] | None,
        result: Mapping[str, Any] | None,
        last_seq: int,
    ) -> None:
        """End a locked job whose last event is already stored."""
        ended = await job_queries.end(
            self.connection,
            job.id,
            status=status,
            error=error,
            result=result,
            now=job.now,
            last_seq=last_seq,
        )
        if ended.webhook is not None:
            self.has_webhooks |= await enqueue_end_webhook(self.connection, job.id, ended.webhook)
        if ended.has_children and status != "completed":
            await self._cancel_children(job.id)
        self.ended.append(status)

    async def requeue(
        self,
        job: LockedJob,
        message: str,
        *,
        counts: bool,
        delay_s: float = 0,
        was_unanswered: bool = False,
    ) -> None:
        """Requeue a locked, running job; one with a cancel request is cancelled instead.

        Args:
            job: The job.
            message: The reason, for the event.
            counts: Whether the attempt counts; then the next run is a new attempt.
            delay_s: The time until the job can be claimed.
            was_unanswered: Whether the worker neither sent a heartbeat nor an event.
        """
        if job.cancel_requested_at is not None:
            await self.end(job, "cancelled", error=CANCELLED)
            return
        attempt = job.attempt + 1 if counts else job.attempt
        event = {"type": "job_update", "status": "queued", "message": message}
        seq = await self._append_events(job, event, attempt=attempt)
        available_at = job.now + timedelta(seconds=delay_s)
        await job_queries.requeue(
            self.connection,
            job.id,
            attempt=attempt,
            last_seq=seq,
            available_at=available_at,
            was_unanswered=was_unanswered,
        )
        await lease_queries.end(self.connection, job.id, job.now)
        await node_queries.delete(self.connection, job.id)
        await self._cancel_children(job.id)
        if not delay_s:
            self.queued.append(
                JobRequirements(job.user_id, job.required_capabilities, job.node_types)
            )

    async def _append_events(self, job: LockedJob, *events: Mapping[str, Any], attempt: int) -> int:
        """Store events of the service; return the last `seq`."""
        batch = LogBatch(
            job.id,
            job.user_id,
            [encode(event) for event in events],
            after=job.last_seq,
            attempt=attempt,
            time=job.now,
            traceparent=job.traceparent,
        )
        for event in batch.events:
            await event_queries.insert(self.connection, job.id, event, job.now)
        self.batches.append(batch)
        return batch.last_seq

    async def _cancel_children(self, job_id: str) -> None:
        for child in await job_queries.lock_children(self.connection, job_id):
            await self.cancel(child)


class JobTransactions:
    """Factory of transactions on jobs; publishes their changes after the commit."""

    def __init__(
        self,
        db: Database,
        broadcaster: Broadcaster,
        waiting_claims: WaitingClaims,
        webhooks: WebhookService,
    ) -> None:
        self._db = db
        self._broadcaster = broadcaster
        self._waiting_claims = waiting_claims
        self._webhooks = webhooks

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[JobTransaction]:
        """Open a transaction, and publish its changes after the commit."""
        async with self._db.transaction() as connection:
            transaction = JobTransaction(connection)
            yield transaction
        self.publish_transaction(transaction)

    def publish_transaction(self, transaction: JobTransaction) -> None:
        """Publish the changes of a committed transaction."""
        self.publish(transaction.batches, queued=transaction.queued, ended=transaction.ended)
        if transaction.has_webhooks:
            self._webhooks.wake_dispatcher()

    def publish(
        self,
        batches: Sequence[LogBatch],
        *,
        queued: Sequence[JobRequirements] = (),
        ended: Sequence[str] = (),
    ) -> None:
        """Publish committed changes to subscribers, waiting claims and metrics.

        Args:
            batches: The new events.
            queued: Requirements of the jobs that can be claimed now.
            ended: Final statuses of the jobs that have ended.
        """
        self._broadcaster.publish(batches)
        for requirements in queued:
            self._waiting_claims.notify(requirements)
        metrics.EVENTS_STORED.inc(sum(len(batch.encoded) for batch in batches))
        for status in ended:
            metrics.JOBS_ENDED.labels(status).inc()
