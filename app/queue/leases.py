"""What the holder of a lease does: say that it is there, post events, give the job back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from app.database.engine import Database
from app.events.event_batch import read_batch
from app.events.ingest import Kept, Posting, store
from app.http.auth import Principal, hash_token
from app.http.problems import ProblemError, validation_problem
from app.jobs.errors import ClientSeqGap, JobEnded, JobNotFound, LeaseLost
from app.queue import lease_queries
from app.queue.transitions import Ledger, Ledgers
from app.settings import Settings
from app.workers.service import WorkerService
from processing_context.wire.events import EventsAccepted
from processing_context.wire.jobs import ENDED
from processing_context.wire.workers import HeartbeatReply, JobEvents


class Leases:
    """The leases of this replica and the others: they live in the database alone."""

    def __init__(
        self, db: Database, ledgers: Ledgers, workers: WorkerService, settings: Settings
    ) -> None:
        self._db = db
        self._ledgers = ledgers
        self._workers = workers
        self._ttl_s = settings.lease_ttl_s
        self._max_event_bytes = settings.max_event_bytes

    async def heartbeat(self, principal: Principal, job_id: str) -> HeartbeatReply:
        """Renew a lease.

        Raises:
            JobNotFound: The token is that of another job's lease, or the job was deleted.
            JobEnded: The job has ended.
            LeaseLost: The lease is over.
        """
        token_hash = _own(principal, job_id)
        row = await lease_queries.heartbeat(self._db.pool, token_hash, ttl_s=self._ttl_s)
        if row is None:
            status = await lease_queries.job_status(self._db.pool, token_hash)
            if status is None:
                raise JobNotFound  # deleted just now
            raise JobEnded if status in ENDED else LeaseLost
        self._workers.mark_seen(row["worker_id"])
        return HeartbeatReply(
            cancel_requested=row["cancel_requested"], lease_expires_at=row["expires_at"]
        )

    async def release(self, principal: Principal, job_id: str) -> None:
        """Give a job back to the queue; the attempt does not count.

        Raises:
            JobNotFound: The token is that of another job's lease.
            JobEnded: The job has ended.
            LeaseLost: The lease is over.
        """
        token_hash = _own(principal, job_id)
        async with self._ledgers.open() as ledger:
            lease = await _locked(ledger, token_hash)
            _check_live(lease)
            await ledger.give_back(lease, "The worker gave the job back.", counts=False)

    async def post(
        self, principal: Principal, job_id: str, events: Sequence[Mapping[str, Any]]
    ) -> EventsAccepted:
        """Store a batch of events and renew the lease; what was stored before is passed over.

        Raises:
            JobNotFound: The token is that of another job's lease.
            ValidationFailed: The batch is wrong.
            EventTooLarge: An event is over the limit.
            JobEnded: There is something new, and the job has ended.
            LeaseLost: There is something new, and the lease is over.
            ClientSeqGap: Events before these are missing.
        """
        posting = Posting(
            job_id,
            _own(principal, job_id),
            read_batch(events, job_id=job_id, max_event_bytes=self._max_event_bytes),
        )
        kept = await self._store([posting] if _is_usual(posting) else [])
        return _accepted(kept[job_id]) if kept else await self._settle(posting)

    async def post_all(
        self, batches: Sequence[JobEvents]
    ) -> list[tuple[str, EventsAccepted | ProblemError]]:
        """Store the batches of many jobs, each by the token of its own lease.

        Returns:
            For each job what `post` would have returned or raised.

        Raises:
            ValidationFailed: Two are for the same job.
        """
        if len({batch.job_id for batch in batches}) < len(batches):
            raise validation_problem(
                [{"loc": ("body", "jobs"), "msg": "names a job twice", "type": "value_error"}]
            )
        read = [(batch.job_id, self._read(batch)) for batch in batches]
        usual = [item for _, item in read if isinstance(item, Posting) and _is_usual(item)]
        kept = await self._store(usual)
        return [
            (job_id, _accepted(kept[job_id]) if job_id in kept else await self._settled(item))
            for job_id, item in read
        ]

    def _read(self, batch: JobEvents) -> Posting | ProblemError:
        try:
            events = read_batch(
                batch.events, job_id=batch.job_id, max_event_bytes=self._max_event_bytes
            )
        except ProblemError as error:
            return error
        return Posting(batch.job_id, hash_token(batch.token), events)

    async def _settled(self, posting: Posting | ProblemError) -> EventsAccepted | ProblemError:
        if isinstance(posting, ProblemError):
            return posting
        try:
            return await self._settle(posting)
        except ProblemError as error:
            return error

    async def _store(self, postings: Sequence[Posting]) -> dict[str, Kept]:
        """Store what needs no more than that."""
        if not postings:
            return {}
        stored = await store(self._db.pool, postings, ttl_s=self._ttl_s)
        kept = {found.batch.job_id: found for found in stored if found is not None}
        self._ledgers.spread(
            [found.batch for found in kept.values()],
            ended=["completed" for found in kept.values() if found.row["completed"]],
        )
        for found in kept.values():
            self._workers.mark_seen(found.row["lease_worker_id"])
        return kept

    async def _settle(self, posting: Posting) -> EventsAccepted:
        """Store what is new of a batch, under the lock of its job, or say why it is not taken."""
        async with self._ledgers.open() as ledger:
            lease = await _locked(ledger, posting.token_hash)
            if lease["id"] != posting.job_id:
                raise JobNotFound
            known: int = lease["last_client_seq"]
            new = [item for item in posting.events if item.client_seq > known]
            if not new and (_is_over(lease) or lease["status"] in ENDED):
                return _unchanged(lease, None)
            _check_live(lease)
            if not new:
                row = await lease_queries.heartbeat(
                    ledger.connection, posting.token_hash, ttl_s=self._ttl_s
                )
                return _unchanged(lease, row["expires_at"] if row else None)
            if new[0].client_seq != known + 1:
                raise ClientSeqGap(
                    f"The last client_seq stored is {known}, the next here {new[0].client_seq}."
                )
            return await self._add(ledger, lease, Posting(posting.job_id, posting.token_hash, new))

    async def _add(self, ledger: Ledger, lease: asyncpg.Record, posting: Posting) -> EventsAccepted:
        (kept,) = await store(ledger.connection, [posting], ttl_s=self._ttl_s, ends=False)
        if kept is None:  # it ran out between the two statements
            raise LeaseLost
        ledger.batches.append(kept.batch)
        last = posting.events[-1]
        if last.end_status is not None:
            await ledger.ended_by_itself(
                lease,
                last.end_status,
                error=last.event.get("error"),
                result=last.event.get("result"),
                last_seq=kept.last_seq,
            )
        self._workers.mark_seen(lease["lease_worker_id"])
        return _accepted(kept, has_ended=last.end_status is not None)


def _is_usual(posting: Posting) -> bool:
    """Whether storing it is all that it takes, as far as the batch itself tells."""
    return bool(posting.events) and posting.events[-1].end_status in (None, "completed")


def _accepted(kept: Kept, *, has_ended: bool = False) -> EventsAccepted:
    has_ended = has_ended or kept.row["completed"]
    return EventsAccepted(
        last_seq=kept.last_seq,
        cancel_requested=kept.row["cancel_requested_at"] is not None,
        lease_expires_at=None if has_ended else kept.row["expires_at"],
    )


def _unchanged(lease: asyncpg.Record, expires_at: datetime | None) -> EventsAccepted:
    return EventsAccepted(
        last_seq=lease["last_seq"],
        cancel_requested=lease["cancel_requested_at"] is not None,
        lease_expires_at=expires_at,
    )


def _own(principal: Principal, job_id: str) -> bytes:
    if principal.job_id != job_id:
        raise JobNotFound
    return bytes.fromhex(principal.token_id)


async def _locked(ledger: Ledger, token_hash: bytes) -> asyncpg.Record:
    lease = await lease_queries.lock(ledger.connection, token_hash)
    if lease is None:
        raise JobNotFound
    return lease


def _is_over(lease: asyncpg.Record) -> bool:
    return lease["ended_at"] is not None or bool(lease["expires_at"] <= lease["now"])


def _check_live(lease: asyncpg.Record) -> None:
    if lease["status"] in ENDED:
        raise JobEnded
    if _is_over(lease):
        raise LeaseLost
