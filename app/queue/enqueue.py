"""Enqueueing of new jobs, which leases them to waiting claims where possible."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import NamedTuple

from app.database.batching import Batcher
from app.database.engine import Database
from app.database.statement import Connection, Executor
from app.queue.enqueue_queries import insert_jobs
from app.queue.job_offers import EnqueuedJob, JobOffers
from app.queue.new_job import NewJob
from app.queue.transitions import JobTransactions
from app.queue.user_turns import UserTurns
from app.queue.waiting_claims import WaitingClaims
from app.settings import Settings


class EnqueueTransaction(NamedTuple):
    """A transaction, and a function that enqueues jobs in it."""

    connection: Connection
    enqueue_all: Callable[[Sequence[NewJob]], Awaitable[list[EnqueuedJob]]]


class Enqueuer:
    """Enqueues jobs; concurrent calls share one statement."""

    def __init__(
        self,
        db: Database,
        transactions: JobTransactions,
        waiting_claims: WaitingClaims,
        turns: UserTurns,
        settings: Settings,
        *,
        lost_after_s: float,
    ) -> None:
        self._db = db
        self._transactions = transactions
        self._waiting_claims = waiting_claims
        self._turns = turns
        self._lost_after_s = lost_after_s
        self._user_limit = settings.max_running_jobs_per_user
        self._ttl_s = settings.lease_ttl_s
        self._batcher = Batcher(self.enqueue_all)
        self._in_progress = 0

    async def enqueue(self, job: NewJob) -> EnqueuedJob:
        """Enqueue a job, in a batch with concurrent calls."""
        return await self._batcher.submit(job)

    async def enqueue_all(self, jobs: Sequence[NewJob]) -> list[EnqueuedJob]:
        """Enqueue jobs, all of them or none."""
        with self._offer(jobs) as offers:
            await self._insert(self._db.pool, offers)
            self._publish(offers)
        return offers.enqueued()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[EnqueueTransaction]:
        """Open a transaction in which jobs are enqueued; they are published after the commit."""
        all_offers: list[JobOffers] = []
        with ExitStack() as reservations:
            async with self._db.transaction() as connection:

                async def enqueue_all(jobs: Sequence[NewJob]) -> list[EnqueuedJob]:
                    offers = reservations.enter_context(self._offer(jobs))
                    await self._insert(connection, offers)
                    all_offers.append(offers)
                    return offers.enqueued()

                yield EnqueueTransaction(connection, enqueue_all)
            for offers in all_offers:
                self._publish(offers)

    @contextmanager
    def _offer(self, jobs: Sequence[NewJob]) -> Iterator[JobOffers]:
        """Reserve waiting claims for new jobs, until the end of the block.

        No claim is reserved while other jobs are being enqueued: one claim that takes several jobs
        from the queue costs less than several claims with one job each.
        """
        offers = JobOffers(None if self._in_progress else self._waiting_claims, jobs)
        self._in_progress += 1
        try:
            yield offers
        finally:
            self._in_progress -= 1
            offers.release()

    async def _insert(self, on: Executor, offers: JobOffers) -> None:
        """Insert the jobs; call `_publish` after the commit."""
        user_ids = {offer.job.user_id for offer in offers.offered}
        offers.inserted = await insert_jobs(
            on,
            offers.offered,
            lost_after_s=self._lost_after_s,
            user_limit=self._user_limit,
            is_near_limit=any(
                self._turns.is_near_limit(user_id, max_jobs=len(offers.offered))
                for user_id in user_ids
            ),
            ttl_s=self._ttl_s,
        )

    def _publish(self, offers: JobOffers) -> None:
        """Publish the jobs and hand the leased ones to their claims."""
        self._turns.record_leased(offers.leased_users())
        self._transactions.publish(offers.first_events(), queued=offers.hand_over())
