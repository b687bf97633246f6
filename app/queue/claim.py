"""Claims of workers: lease jobs, or wait until there is one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta

from app.database.engine import Database
from app.events.envelope import LogBatch
from app.events.wait import first_of
from app.http.auth import JOB_PREFIX, Principal, hash_token, new_token
from app.http.problems import Unavailable
from app.queue import claim_queries, lease_queries
from app.queue.claim_queries import Claimed
from app.queue.lanes import QueueLanes
from app.queue.lease_queries import LeasedJobRecord
from app.queue.leased_job import LeasedJob
from app.queue.status_events import RUNNING
from app.queue.transitions import JobTransactions
from app.queue.user_turns import UserTurn, UserTurns
from app.queue.waiting_claims import WaitingClaims
from app.runtime.shutdown import Shutdown
from app.settings import Settings
from app.workers.errors import WorkerNotFound
from app.workers.service import Claimant, WorkerService

SLOW_S = 0.05
"""Time of a claim's statement from which the floors of its users may be too low."""

COMMIT_MARGIN = timedelta(seconds=2)
"""Longest time from the grant of a lease to its commit that a claim allows for.

A lease that is committed later is not handed out again to its worker, but it expires.
"""

MAX_CACHED = 10_000


class ClaimService:
    """Leases jobs to workers."""

    def __init__(
        self,
        db: Database,
        transactions: JobTransactions,
        waiting_claims: WaitingClaims,
        turns: UserTurns,
        lanes: QueueLanes,
        workers: WorkerService,
        shutdown: Shutdown,
        settings: Settings,
    ) -> None:
        self._db = db
        self._transactions = transactions
        self._waiting_claims = waiting_claims
        self._turns = turns
        self._lanes = lanes
        self._confirmed_until: dict[str, datetime] = {}
        self._workers = workers
        self._shutdown = shutdown
        self._ttl_s = settings.lease_ttl_s
        self._poll_s = settings.heartbeat_interval_s
        self._user_limit = settings.max_running_jobs_per_user

    async def claim(
        self,
        worker_id: str,
        principal: Principal,
        *,
        wait_s: float,
        max_jobs: int,
        disconnected: asyncio.Event,
    ) -> list[LeasedJob]:
        """Lease jobs to a worker, waiting for the first one; return an empty list on timeout.

        Args:
            worker_id: The worker.
            principal: The token that acts for it.
            wait_s: The maximum wait.
            max_jobs: The maximum number of jobs.
            disconnected: Set when the client has disconnected; then no job is leased to it.

        Raises:
            WorkerNotFound: It was removed, possibly as lost, or belongs to another user.
            Forbidden: Another token registered it.
            Unavailable: The replica is shutting down.
        """
        if self._shutdown.has_begun:
            raise Unavailable("This replica is shutting down: claim again.")
        deadline = time.monotonic() + wait_s
        claimant = await self._workers.claimant(worker_id, principal)
        is_first, is_over = True, False
        while not is_over:
            with self._waiting_claims.add(claimant, max_jobs) as claim:
                claimant, leased = await self._poll(
                    worker_id, principal, max_jobs, redeliver_first=is_first
                )
                is_first = False
                self._waiting_claims.mark_polled(claim, claimant)
                left_s = deadline - time.monotonic()
                is_ending = self._shutdown.has_begun or disconnected.is_set()
                is_over = bool(leased) or left_s <= 0 or is_ending
                if not is_over:
                    await first_of(
                        claim.wait(),
                        self._shutdown.wait(),
                        disconnected.wait(),
                        seconds=min(left_s, self._poll_s),
                    )
                    leased = await claim.result()
                    is_over = bool(leased) or disconnected.is_set()
                if is_over:
                    self._waiting_claims.pass_on(claim)
        if leased and disconnected.is_set():
            await self._requeue(leased)
            return []
        return leased

    async def _poll(
        self, worker_id: str, principal: Principal, max_jobs: int, *, redeliver_first: bool
    ) -> tuple[Claimant, list[LeasedJob]]:
        """Claim jobs once, without waiting.

        With `redeliver_first`, jobs of leases that the worker never confirmed are leased again.
        That is for the start of a claim only: later, they may belong to another claim of the same
        worker whose response is still on its way.
        """
        claimant = await self._workers.claimant(worker_id, principal)
        await self._lanes.raise_due()
        tokens = [new_token(JOB_PREFIX) for _ in range(max_jobs)]
        claimed = await self._claim(claimant, tokens, redeliver_first=redeliver_first)
        claimant = replace(claimant, is_draining=claimed.is_draining)
        if claimed.has_unconfirmed:
            if redelivered := await self._redeliver(worker_id, max_jobs):
                return claimant, redelivered
            # The leases were confirmed between the two statements.
            return await self._poll(worker_id, principal, max_jobs, redeliver_first=False)
        self._transactions.publish([_running_event(job) for job in claimed.jobs])
        return claimant, _with_tokens(tokens, claimed.jobs)

    async def _claim(
        self, claimant: Claimant, tokens: Sequence[str], *, redeliver_first: bool
    ) -> Claimed:
        """Claim jobs of the users whose turn it is, then of the others."""
        hashes = [hash_token(token) for token in tokens]
        async with aclosing(self._turns.in_order(claimant.owner_id, max_jobs=len(tokens))) as turns:
            async for some in turns:
                claimed = await self._claim_of(
                    some, claimant, hashes, redeliver_first=redeliver_first
                )
                if claimed.jobs or claimed.is_draining or claimed.has_unconfirmed:
                    break
        if redeliver_first and not claimed.has_unconfirmed:
            self._record_confirmed(claimant.id, claimed.asked_at)
        self._record_leased([job.job.user_id for job in claimed.jobs])
        return claimed

    async def _claim_of(
        self,
        turns: Sequence[UserTurn],
        claimant: Claimant,
        token_hashes: Sequence[bytes],
        *,
        redeliver_first: bool,
    ) -> Claimed:
        """Claim jobs of some users."""
        began = time.monotonic()
        claimed = await claim_queries.claim(
            self._db.pool,
            claimant,
            token_hashes,
            turns,
            user_limit=self._user_limit,
            ttl_s=self._ttl_s,
            redeliver_first=redeliver_first,
            confirmed_until=self._confirmed_until.get(claimant.id),
        )
        if claimed is None:
            self._workers.evict(claimant.id)
            raise WorkerNotFound(claimant.id)
        if time.monotonic() - began > SLOW_S:
            self._lanes.record_slow([turn.user_id for turn in turns])
        self._workers.mark_seen(claimant.id)
        return claimed

    def _record_leased(self, user_ids: Sequence[str]) -> None:
        self._turns.record_leased(user_ids)
        self._lanes.record_leased(user_ids)

    def _record_confirmed(self, worker_id: str, asked_at: datetime) -> None:
        """Record that leases granted before a claim are confirmed; later claims skip them."""
        if len(self._confirmed_until) >= MAX_CACHED:
            self._confirmed_until.clear()
        self._confirmed_until[worker_id] = asked_at - COMMIT_MARGIN

    async def _redeliver(self, worker_id: str, max_jobs: int) -> list[LeasedJob]:
        """Lease unconfirmed jobs again, with new tokens: the response to their claim was lost."""
        async with self._transactions.begin() as transaction:
            on = transaction.connection
            jobs = await lease_queries.lock_unconfirmed(
                on, worker_id, limit=max_jobs, ttl_s=self._ttl_s
            )
            tokens = [new_token(JOB_PREFIX) for _ in jobs]
            for leased in jobs:
                await lease_queries.end(on, leased.job.id, leased.now)
            if jobs:
                hashes = [hash_token(token) for token in tokens]
                await lease_queries.insert(on, hashes, jobs, worker_id=worker_id)
        return _with_tokens(tokens, jobs)

    async def _requeue(self, leased: Sequence[LeasedJob]) -> None:
        """Requeue jobs that were leased to a client that has disconnected."""
        async with self._transactions.begin() as transaction:
            for each in sorted(leased, key=lambda each: each.job.id):
                lease = await lease_queries.lock(transaction.connection, hash_token(each.token))
                if lease is not None and lease.ended_at is None:
                    message = "The worker went away before it had the job."
                    await transaction.requeue(lease.job, message, counts=False)


def _with_tokens(tokens: Sequence[str], jobs: Sequence[LeasedJobRecord]) -> list[LeasedJob]:
    """Return the jobs with the tokens of their leases; surplus tokens are dropped."""
    return [
        LeasedJob(token, leased.job, leased.expires_at)
        for token, leased in zip(tokens, jobs, strict=False)
    ]


def _running_event(leased: LeasedJobRecord) -> LogBatch:
    return LogBatch(
        leased.job.id,
        leased.job.user_id,
        [RUNNING],
        after=leased.job.last_seq - 1,
        attempt=leased.job.attempt,
        time=leased.now,
        traceparent=leased.job.traceparent,
    )
