"""Claims that wait for a job, and their notification when there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.database.engine import Database
from app.database.notifications import Notifications
from app.queue import claim_queries
from app.queue.leased_job import LeasedJob
from app.workers.service import Claimant

TOPIC = "queue"


@dataclass(frozen=True, slots=True)
class JobRequirements:
    """The requirements that a worker must meet to run a job."""

    user_id: str
    capabilities: Collection[str]
    node_types: Collection[str]


class PendingClaim:
    """A claim that waits. It is notified at most once.

    It may be reserved for jobs that are being enqueued: then it is notified once it is certain
    whether it gets them.
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
        """Wake the claim, for one job or to look for any."""
        self.notified_for = requirements
        self._is_reserved = False
        self._notified.set()

    async def wait(self) -> None:
        """Return once the claim is notified."""
        await self._notified.wait()

    def reserve(self) -> None:
        """Let the claim wait until it is notified, even when its time is over."""
        self._is_reserved = True

    async def result(self) -> list[LeasedJob]:
        """Return the jobs that were leased to the claim while it waited."""
        if self._is_reserved:
            await self._notified.wait()
        return self.leased

    def takes_jobs_of(self, user_id: str) -> bool:
        """Return whether the worker takes a user's jobs."""
        return not self.claimant.is_draining and self.claimant.owner_id in (None, user_id)

    def can_run(self, requirements: JobRequirements) -> bool:
        """Return whether the worker takes and can run a job."""
        return self.takes_jobs_of(requirements.user_id) and self.claimant.capabilities.can_run(
            requirements.capabilities, requirements.node_types
        )


class WaitingClaims:
    """The claims that wait at this replica, in the order in which they came."""

    def __init__(self, db: Database, notifications: Notifications) -> None:
        self._db = db
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

        It is added before it looks for jobs, so that no notification between the look and the wait
        is lost.
        """
        claim = PendingClaim(claimant, max_jobs)
        self._waiting[claim] = None
        try:
            yield claim
        finally:
            self._waiting.pop(claim, None)

    def reserve(self, requirements: JobRequirements) -> PendingClaim | None:
        """Take out a claim that has found no job and can run a new one; the caller notifies it."""
        for claim in self._waiting:
            if claim.has_polled and claim.can_run(requirements):
                del self._waiting[claim]
                claim.reserve()
                return claim
        return None

    def notify(self, requirements: JobRequirements) -> None:
        """Wake one claim that can run a new job, or else those of the other replicas."""
        for claim in self._waiting:
            if claim.can_run(requirements):
                del self._waiting[claim]
                claim.notify(requirements)
                return
        self._notifications.notify(TOPIC, requirements.user_id)

    def mark_polled(self, claim: PendingClaim, claimant: Claimant) -> None:
        """Store that a claim found no job; the worker as it is now may have begun to drain."""
        claim.claimant = claimant
        claim.has_polled = True
        if claimant.is_draining:
            self.pass_on(claim)

    def pass_on(self, claim: PendingClaim) -> None:
        """Wake another claim for the job that this one was notified for and does not look for."""
        requirements, claim.notified_for = claim.notified_for, None
        if requirements is not None:
            self.notify(requirements)

    async def poll(self) -> None:
        """Wake claims for jobs that became due, or whose notification was lost."""
        if self._waiting:
            for user_id in await claim_queries.users_with_due_jobs(self._db.pool):
                self._notify_all(user_id)

    def _notify_all(self, user_id: str) -> None:
        for claim in [claim for claim in self._waiting if claim.takes_jobs_of(user_id)]:
            del self._waiting[claim]
            claim.notify()
