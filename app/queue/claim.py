"""Claims: a worker asks for jobs, and waits for the first one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from app.database.engine import Database
from app.events.wait import first_of
from app.http.auth import JOB_PREFIX, Principal, hash_token, new_token
from app.queue import claim_queries, lease_queries
from app.queue.claim_queries import Granted
from app.queue.transitions import Ledgers
from app.queue.waiting_claims import Bell
from app.runtime.shutdown import Shutdown
from app.settings import Settings
from app.workers.errors import WorkerNotFound
from app.workers.service import Claimant, WorkerService


class Claims:
    """Gives jobs to workers."""

    def __init__(
        self,
        db: Database,
        ledgers: Ledgers,
        bell: Bell,
        workers: WorkerService,
        shutdown: Shutdown,
        settings: Settings,
    ) -> None:
        self._db = db
        self._ledgers = ledgers
        self._bell = bell
        self._workers = workers
        self._shutdown = shutdown
        self._ttl_s = settings.lease_ttl_s
        self._look_s = settings.heartbeat_interval_s
        self._user_limit = settings.max_running_jobs_per_user

    async def claim(
        self,
        worker_id: str,
        principal: Principal,
        *,
        wait_s: float,
        max_jobs: int,
        gone: asyncio.Event,
    ) -> list[Granted]:
        """Return leases for a worker, waiting for the first one; none when none came.

        Args:
            worker_id: The worker.
            principal: The token that speaks for it.
            wait_s: How long to wait.
            max_jobs: How many jobs at most.
            gone: Set when nobody listens to the answer any more: then it takes no job.

        Raises:
            WorkerNotFound: It was deleted or forgotten, or is another user's.
            Forbidden: Another token registered it.
        """
        deadline = time.monotonic() + wait_s
        claimant = await self._workers.claimant(worker_id, principal)
        is_first, is_over = True, False
        while not is_over:
            with self._bell.waiter(claimant, max_jobs) as waiter:
                claimant, leases = await self._take(
                    worker_id, principal, max_jobs, is_first=is_first
                )
                is_first = False
                self._bell.learn(waiter, claimant)
                left_s = deadline - time.monotonic()
                is_over = bool(leases) or left_s <= 0 or self._shutdown.is_begun or gone.is_set()
                if not is_over:
                    seconds = min(left_s, self._look_s)
                    await first_of(
                        waiter.wait(), self._shutdown.wait(), gone.wait(), seconds=seconds
                    )
                    leases = await waiter.given()
                    is_over = bool(leases) or gone.is_set()
                if is_over:
                    self._bell.pass_on(waiter)
        if leases and gone.is_set():
            await self._give_back(leases)
            return []
        return leases

    async def remove_worker(self, worker_id: str, principal: Principal) -> None:
        """Delete a worker and give back its jobs, no attempt counted.

        Raises:
            WorkerNotFound: It is not there, or is another user's.
            Forbidden: Another token registered it.
        """
        async with self._ledgers.open() as ledger:
            await self._workers.delete(ledger.connection, worker_id, principal)
            for row in await lease_queries.lock_of_worker(ledger.connection, worker_id):
                await ledger.give_back(row, "The worker was removed.", counts=False)

    async def _take(
        self, worker_id: str, principal: Principal, max_jobs: int, *, is_first: bool
    ) -> tuple[Claimant, list[Granted]]:
        """Look once. What the worker was given before and never spoke for comes first.

        But only at the start of a claim: what another claim of the same worker is given while
        this one waits is not lost.
        """
        claimant = await self._workers.claimant(worker_id, principal)
        tokens = [new_token(JOB_PREFIX) for _ in range(max_jobs)]
        taken = await claim_queries.take(
            self._db.pool,
            claimant,
            [hash_token(token) for token in tokens],
            user_limit=self._user_limit,
            ttl_s=self._ttl_s,
            again_first=is_first,
        )
        if taken is None:
            self._workers.evict(worker_id)
            raise WorkerNotFound
        self._workers.mark_seen(worker_id)
        claimant = replace(claimant, is_draining=taken.is_draining)
        if taken.is_owed_more:
            if again := await self._again(worker_id, max_jobs):
                return claimant, again
            # They were spoken for meanwhile.
            return await self._take(worker_id, principal, max_jobs, is_first=False)
        self._ledgers.spread(taken.batches)
        return claimant, list(map(Granted, tokens, taken.rows))

    async def _again(self, worker_id: str, max_jobs: int) -> list[Granted]:
        """Hand out again what was given in a reply that was lost, each with a new token."""
        async with self._ledgers.open() as ledger:
            on = ledger.connection
            rows = await lease_queries.unconfirmed(on, worker_id, limit=max_jobs, ttl_s=self._ttl_s)
            tokens = [new_token(JOB_PREFIX) for _ in rows]
            for row in rows:
                await lease_queries.end_of(on, row["id"], row["now"])
            if rows:
                await lease_queries.insert(
                    on, [hash_token(token) for token in tokens], rows, worker_id=worker_id
                )
        return list(map(Granted, tokens, rows))

    async def _give_back(self, leases: Sequence[Granted]) -> None:
        async with self._ledgers.open() as ledger:
            for lease in sorted(leases, key=lambda lease: lease.row["id"]):
                row = await lease_queries.lock(ledger.connection, hash_token(lease.token))
                if row is not None and row["ended_at"] is None:
                    await ledger.give_back(
                        row, "The worker went away before it had the job.", counts=False
                    )
