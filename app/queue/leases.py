"""Heartbeats, event batches and release of jobs, by the token of a lease."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.database.engine import Database
from app.events.event_batch import PostedBatch, PostedEvent, read_batch
from app.events.event_limit import with_notice, within_limit
from app.events.ingest import StoredBatch, store_batches
from app.http.auth import Principal, hash_token
from app.http.problems import ProblemError, validation_problem
from app.queue import job_queries, lease_queries
from app.queue.errors import ClientSeqGap, JobEnded, JobNotFound, LeaseLost
from app.queue.lease_queries import LockedLease, RenewedLease
from app.queue.transitions import JobTransaction, JobTransactions
from app.settings import Settings
from app.workers.service import WorkerService
from processing_context.wire.events import EventsAccepted
from processing_context.wire.jobs import ENDED
from processing_context.wire.workers import HeartbeatReply, JobEvents


class LeaseService:
    """Operations on leases; all state is in the database, so any replica serves any lease."""

    def __init__(
        self,
        db: Database,
        transactions: JobTransactions,
        workers: WorkerService,
        settings: Settings,
    ) -> None:
        self._db = db
        self._transactions = transactions
        self._workers = workers
        self._ttl_s = settings.lease_ttl_s
        self._max_event_bytes = settings.max_event_bytes
        self._max_events = settings.max_job_events

    async def heartbeat(self, principal: Principal, job_id: str) -> HeartbeatReply:
        """Renew a lease.

        Raises:
            JobNotFound: The token is that of another job's lease, or the job was deleted.
            JobEnded: The job has ended.
            LeaseLost: The lease has ended or expired.
        """
        token_hash = _own_token(principal, job_id)
        lease = await lease_queries.renew(self._db.pool, token_hash, ttl_s=self._ttl_s)
        if lease is None:
            status = await lease_queries.job_status(self._db.pool, token_hash)
            if status is None:
                raise JobNotFound(job_id)  # deleted just now
            raise JobEnded(job_id) if status in ENDED else LeaseLost(job_id)
        self._workers.mark_seen(lease.worker_id)
        return HeartbeatReply(
            cancel_requested=lease.cancel_requested, lease_expires_at=lease.expires_at
        )

    async def release(self, principal: Principal, job_id: str) -> None:
        """Requeue a job without counting the attempt.

        Raises:
            JobNotFound: The token is that of another job's lease.
            JobEnded: The job has ended.
            LeaseLost: The lease has ended or expired.
        """
        token_hash = _own_token(principal, job_id)
        async with self._transactions.begin() as transaction:
            lease = await _lock(transaction, token_hash, job_id)
            _check_live(lease)
            await transaction.requeue(lease.job, "The worker gave the job back.", counts=False)

    async def post_events(
        self, principal: Principal, job_id: str, events: Sequence[Mapping[str, Any]]
    ) -> EventsAccepted:
        """Store a batch of events and renew the lease; events that are already stored are skipped.

        Raises:
            JobNotFound: The token is that of another job's lease.
            ValidationFailed: The batch is not valid.
            EventTooLarge: An event is over the limit.
            JobEnded: There is a new event, and the job has ended.
            LeaseLost: There is a new event, and the lease has ended or expired.
            ClientSeqGap: Events before these are missing.
        """
        batch = PostedBatch.of(
            job_id,
            _own_token(principal, job_id),
            read_batch(events, job_id=job_id, max_event_bytes=self._max_event_bytes),
        )
        stored = await self._store([batch] if _is_usual(batch) else [])
        return _accepted(stored[job_id]) if stored else await self._store_or_refuse(batch)

    async def post_events_of_jobs(
        self, principal: Principal, worker_id: str, batches: Sequence[JobEvents]
    ) -> list[tuple[str, EventsAccepted | ProblemError]]:
        """Store the batches of several jobs, each with the token of its own lease.

        Returns:
            For each job the result of `post_events`, or the problem that it would have raised.

        Raises:
            WorkerNotFound: The worker was removed, possibly as lost, or belongs to another user.
            Forbidden: Another token registered the worker.
            ValidationFailed: Two batches are for the same job.
        """
        await self._workers.claimant(worker_id, principal)
        if len({batch.job_id for batch in batches}) < len(batches):
            raise validation_problem(
                [{"loc": ("body", "jobs"), "msg": "names a job twice", "type": "value_error"}]
            )
        read = [(batch.job_id, self._read(batch)) for batch in batches]
        usual = [batch for _, batch in read if isinstance(batch, PostedBatch) and _is_usual(batch)]
        stored = await self._store(usual)
        return [
            (job_id, _accepted(stored[job_id]) if job_id in stored else await self._answer(batch))
            for job_id, batch in read
        ]

    def _read(self, batch: JobEvents) -> PostedBatch | ProblemError:
        try:
            events = read_batch(
                batch.events, job_id=batch.job_id, max_event_bytes=self._max_event_bytes
            )
        except ProblemError as error:
            return error
        return PostedBatch.of(batch.job_id, hash_token(batch.token), events)

    async def _answer(self, batch: PostedBatch | ProblemError) -> EventsAccepted | ProblemError:
        if isinstance(batch, ProblemError):
            return batch
        try:
            return await self._store_or_refuse(batch)
        except ProblemError as error:
            return error

    async def _store(self, batches: Sequence[PostedBatch]) -> dict[str, StoredBatch]:
        """Store the batches that one statement can store; return the stored ones by job."""
        if not batches:
            return {}
        found = await store_batches(
            self._db.pool, batches, ttl_s=self._ttl_s, max_events=self._max_events
        )
        stored = {each.batch.job_id: each for each in found if each is not None}
        self._transactions.publish(
            [each.batch for each in stored.values()],
            ended=["completed" for each in stored.values() if each.record.completed],
        )
        for each in stored.values():
            self._workers.mark_seen(each.record.worker_id)
        return stored

    async def _store_or_refuse(self, batch: PostedBatch) -> EventsAccepted:
        """Store the new events of a batch under the lock of its job, or raise the problem."""
        async with self._transactions.begin() as transaction:
            lease = await _lock(transaction, batch.token_hash, batch.job_id)
            if lease.job.id != batch.job_id:
                raise JobNotFound(batch.job_id)
            known = lease.last_client_seq
            new = [event for event in batch.events if event.client_seq > known]
            if not new and (lease.is_over or lease.job.status in ENDED):
                return _unchanged(lease)
            _check_live(lease)
            if not new:
                renewed = await lease_queries.renew(
                    transaction.connection, batch.token_hash, ttl_s=self._ttl_s
                )
                return _unchanged(lease, renewed)
            if new[0].client_seq != known + 1:
                raise ClientSeqGap(stored=known, first=new[0].client_seq)
            return await self._append(transaction, lease, self._limited(lease, batch, new))

    def _limited(
        self, lease: LockedLease, batch: PostedBatch, new: Sequence[PostedEvent]
    ) -> PostedBatch:
        """Return the new events of a batch without those that exceed the limit of the job."""
        room = self._max_events - lease.job.last_seq
        kept, dropped = within_limit(new, room=room)
        total = lease.job.dropped_events + dropped
        is_end = bool(kept) and kept[-1].end_status is not None
        if is_end and total:
            kept = with_notice(kept, total)
        return PostedBatch(
            batch.job_id,
            batch.token_hash,
            kept,
            new[0].client_seq,
            dropped=dropped,
            added=int(is_end and total > 0),
        )

    async def _append(
        self, transaction: JobTransaction, lease: LockedLease, batch: PostedBatch
    ) -> EventsAccepted:
        if batch.dropped:
            await job_queries.count_dropped(
                transaction.connection, batch.job_id, count=batch.dropped
            )
        if not batch.events:
            renewed = await lease_queries.renew(
                transaction.connection,
                batch.token_hash,
                ttl_s=self._ttl_s,
                events=batch.client_count,
            )
            return _unchanged(lease, renewed)
        (stored,) = await store_batches(
            transaction.connection, [batch], ttl_s=self._ttl_s, complete_jobs=False
        )
        if stored is None:  # the lease expired between the two statements
            raise LeaseLost(batch.job_id)
        transaction.batches.append(stored.batch)
        last = batch.events[-1]
        if last.end_status is not None:
            await transaction.store_end(
                lease.job,
                last.end_status,
                error=last.event.get("error"),
                result=last.event.get("result"),
                last_seq=stored.batch.last_seq,
            )
        self._workers.mark_seen(lease.worker_id)
        return _accepted(stored, has_ended=last.end_status is not None)


def _is_usual(batch: PostedBatch) -> bool:
    """Return True if the content of a batch allows storing it with one statement."""
    return bool(batch.events) and batch.events[-1].end_status in (None, "completed")


def _accepted(stored: StoredBatch, *, has_ended: bool = False) -> EventsAccepted:
    record = stored.record
    return EventsAccepted(
        last_seq=stored.batch.last_seq,
        cancel_requested=record.cancel_requested_at is not None,
        lease_expires_at=None if has_ended or record.completed else record.expires_at,
    )


def _unchanged(lease: LockedLease, renewed: RenewedLease | None = None) -> EventsAccepted:
    return EventsAccepted(
        last_seq=lease.job.last_seq,
        cancel_requested=lease.job.cancel_requested_at is not None,
        lease_expires_at=renewed.expires_at if renewed else None,
    )


def _own_token(principal: Principal, job_id: str) -> bytes:
    if principal.job_id != job_id:
        raise JobNotFound(job_id)
    return bytes.fromhex(principal.token_id)


async def _lock(transaction: JobTransaction, token_hash: bytes, job_id: str) -> LockedLease:
    lease = await lease_queries.lock(transaction.connection, token_hash)
    if lease is None:
        raise JobNotFound(job_id)
    return lease


def _check_live(lease: LockedLease) -> None:
    """Check that new events may be stored.

    Raises:
        JobEnded: The job has ended.
        LeaseLost: The lease has ended or expired.
    """
    if lease.job.status in ENDED:
        raise JobEnded(lease.job.id)
    if lease.is_over:
        raise LeaseLost(lease.job.id)
