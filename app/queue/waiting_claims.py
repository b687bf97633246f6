"""Waiting claims of this replica, and their notification about new jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.database.engine import Database
from app.database.notifications import Notifications
from app.queue import claim_queries
from app.queue.leased_job import LeasedJob
from app.queue.user_turns import UserTurns
from app.workers.service import Claimant

TOPIC = "queue"


@dataclass(frozen=True, slots=True)
class JobRequirements:
    """Requirements of a job that a worker must meet to run it."""

    user_id: str
    capabilities: Collection[str]
    node_types: Collection[str]


class PendingClaim:
    """A waiting claim; it is notified at most once.

    While it is reserved for jobs that are being enqueued, it is notified only when their
    transaction has ended.
    """

    def __init__(self, claimant: Claimant, max_jobs: int) -> None:
        self.claimant = claimant
        self.max_jobs = max_jobs
        self.leased: list[LeasedJob] = []
        self.notified_for: JobRequirements | None = None
        self.has_polled = False
        self._is_reserved = False
        self._notified = asyncio.Event()

    def notify(self, requirements: JobRequirements | None = None) -> None:
        """Wake the claim, for a job with these requirements or to poll the queue."""
        self.notified_for = requirements
        self._is_reserved = False
        self._notified.set()

    async def wait(self) -> None:
        """Wait until the claim is notified."""
        await self._notified.wait()

    def reserve(self) -> None:
        """Make the claim wait until it is notified, even beyond its timeout."""
        self._is_reserved = True

    async def result(self) -> list[LeasedJob]:
        """Return the jobs that were leased to the claim while it waited."""
        if self._is_reserved:
            await self._notified.wait()
        return self.leased

    def takes_jobs_of(self, user_id: str) -> bool:
        """Return True if the worker runs jobs of a user."""
        return not self.claimant.is_draining and self.claimant.owner_id in (None, user_id)

    def can_run(self, requirements: JobRequirements) -> bool:
        """Return True if the worker is not draining and meets the requirements of a job."""
        return self.takes_jobs_of(requirements.user_id) and self.claimant.capabilities.can_run(
            requirements.capabilities, requirements.node_types
        )


class WaitingClaims:
    """Waiting claims of this replica, oldest first."""

    def __init__(self, db: Database, notifications: Notifications, turns: UserTurns) -> None:
        self._db = db
        self._turns = turns
        self._notifications = notifications
        self._waiting: dict[PendingClaim, None] = {}
        notifications.on(TOPIC, self._notify_all)

    def __iter__(self) -> Iterator[PendingClaim]:
        return iter(list(self._waiting))

    def __len__(self) -> int:
        return len(self._waiting)

    @contextmanager
    def add(self, claimant: Claimant, max_jobs: int) -> Iterator[PendingClaim]:
        """Add a claim until the end of the block.

        It is added before it polls the queue, so that no notification between poll and wait is
        lost.
        """
        claim = PendingClaim(claimant, max_jobs)
        self._waiting[claim] = None
        try:
            yield claim
        finally:
            self._waiting.pop(claim, None)

    def reserve(self, requirements: JobRequirements) -> PendingClaim | None:
        """Remove and return a claim that can run a new job; the caller must notify it."""
        for claim in self._waiting:
            if claim.has_polled and claim.can_run(requirements):
                del self._waiting[claim]
                claim.reserve()
                return claim
        return None

    def notify(self, requirements: JobRequirements) -> None:
        """Wake one claim that can run a new job; without one, notify the other replicas."""
        self._turns.add(requirements.user_id)
        for claim in self._waiting:
            if claim.can_run(requirements):
                del self._waiting[claim]
                claim.notify(requirements)
                return
        self._notifications.notify(TOPIC, requirements.user_id)

    def mark_polled(self, claim: PendingClaim, claimant: Claimant) -> None:
        """Record that a claim found no job, and the current state of its worker (draining)."""
        claim.claimant = claimant
        claim.has_polled = True
        if claimant.is_draining:
            self.pass_on(claim)

    def pass_on(self, claim: PendingClaim) -> None:
        """Wake another claim for the job that this one was notified about but will not claim."""
        requirements, claim.notified_for = claim.notified_for, None
        if requirements is not None:
            self.notify(requirements)

    async def poll(self) -> None:
        """Wake claims for jobs that became due or whose notification was lost."""
        if self._waiting:
            for user_id in await claim_queries.users_with_due_jobs(self._db.pool):
                self._notify_all(user_id)

    def _notify_all(self, user_id: str) -> None:
        self._turns.add(user_id)
        for claim in [claim for claim in self._waiting if claim.takes_jobs_of(user_id)]:
            del self._waiting[claim]
            claim.notify()
