"""What the holder of a lease does: say that it is there, post events, give the job back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from app.core.auth import Principal
from app.core.db import Database
from app.events import log
from app.events.log import Batch
from app.events.nodes import node_columns
from app.jobs import lease_queries
from app.jobs.batches import Posted, read_batch
from app.jobs.errors import ClientSeqGap, JobEnded, JobNotFound, LeaseLost
from app.jobs.ledger import Ledger, Ledgers
from app.settings import Settings
from app.workers.service import Workers
from processing_context.wire.events import EventsAccepted
from processing_context.wire.jobs import ENDED
from processing_context.wire.workers import HeartbeatReply


class Leases:
    """The leases of this replica and the others: they live in the database alone."""

    def __init__(
        self, db: Database, ledgers: Ledgers, workers: Workers, settings: Settings
    ) -> None:
        self._db = db
        self._ledgers = ledgers
        self._workers = workers
        self._ttl_s = settings.lease_ttl_s
        self._max_event_bytes = settings.max_event_bytes

    async def heartbeat(self, principal: Principal, job_id: str) -> HeartbeatReply:
        """Renew a lease.

        Raises:
            JobNotFound: The token is that of another job's lease.
            JobEnded: The job has ended.
            LeaseLost: The lease is over.
        """
        token_hash = _own(principal, job_id)
        row = await lease_queries.heartbeat(self._db.pool, token_hash, ttl_s=self._ttl_s)
        if row is None:
            status = await lease_queries.job_status(self._db.pool, token_hash)
            raise JobEnded if status in ENDED else LeaseLost
        self._workers.saw(row["worker_id"])
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
        token_hash = _own(principal, job_id)
        posted = read_batch(events, job_id=job_id, max_event_bytes=self._max_event_bytes)
        async with self._ledgers.open() as ledger:
            lease = await _locked(ledger, token_hash)
            known: int = lease["last_client_seq"]
            new = [item for item in posted if item.client_seq > known]
            if not new and (_is_over(lease) or lease["status"] in ENDED):
                return EventsAccepted(
                    last_seq=lease["last_seq"],
                    cancel_requested=lease["cancel_requested_at"] is not None,
                    lease_expires_at=None,
                )
            _check_live(lease)
            if new and new[0].client_seq != known + 1:
                raise ClientSeqGap(
                    f"The last client_seq stored is {known}, the next here {new[0].client_seq}."
                )
            accepted = await self._store(ledger, lease, new)
        self._workers.saw(lease["lease_worker_id"])
        return accepted

    async def _store(
        self, ledger: Ledger, lease: asyncpg.Record, new: Sequence[Posted]
    ) -> EventsAccepted:
        events = log.place(
            [item.draft for item in new],
            job_id=lease["id"],
            after=lease["last_seq"],
            attempt=lease["attempt"],
            time=lease["now"],
            traceparent=lease["traceparent"],
        )
        last_seq = lease["last_seq"] + len(events)
        expires_at = await lease_queries.store(
            ledger.connection,
            lease["id"],
            lease["now"],
            [event.seq for event in events],
            [event.is_end for event in events],
            [event.text for event in events],
            lease["attempt"],
            lease["token_hash"],
            new[-1].client_seq if new else lease["last_client_seq"],
            self._ttl_s,
            last_seq,
            _progress(new),
            *node_columns((event.seq, item.event) for event, item in zip(events, new, strict=True)),
        )
        if events:
            ledger.batches.append(Batch(lease["id"], lease["user_id"], events))
        has_ended = bool(new) and await self._end(ledger, lease, new[-1], last_seq)
        return EventsAccepted(
            last_seq=last_seq,
            cancel_requested=lease["cancel_requested_at"] is not None,
            lease_expires_at=None if has_ended else expires_at,
        )

    async def _end(
        self, ledger: Ledger, lease: asyncpg.Record, last: Posted, last_seq: int
    ) -> bool:
        if last.end_status is None:
            return False
        await ledger.ended_by_itself(
            lease,
            last.end_status,
            error=last.event.get("error"),
            result=last.event.get("result"),
            last_seq=last_seq,
        )
        return True


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


def _progress(new: Sequence[Posted]) -> float | None:
    """Return the last progress of the whole job that a batch tells, if it tells one."""
    for item in reversed(new):
        if item.event["type"] == "job_update" and item.event.get("progress") is not None:
            return float(item.event["progress"])
    return None
