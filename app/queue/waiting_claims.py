"""Wakes the long polls of workers when there is a job for them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.database.engine import Database
from app.database.notifications import Notifications
from app.queue.claim_queries import Granted
from app.workers.service import Claimant

TOPIC = "queue"

_USERS_WITH_WORK = """
with recursive owners(user_id) as (
    (select user_id from jobs where status = 'queued' order by user_id limit 1)
    union all
    select (select j.user_id from jobs j where j.status = 'queued' and j.user_id > o.user_id
            order by j.user_id limit 1)
    from owners o where o.user_id is not null
)
select user_id from owners o where exists (
    select from jobs j
    where j.user_id = o.user_id and j.status = 'queued' and j.available_at <= clock_timestamp()
)"""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a worker must have for a job."""

    user_id: str
    capabilities: Collection[str]
    node_types: Collection[str]


class Waiter:
    """A claim that waits. It is rung at most once.

    It may be held meanwhile for jobs that are being made: then it is rung when it is certain
    whether it has got them.
    """

    def __init__(self, claimant: Claimant, max_jobs: int) -> None:
        self.claimant = claimant
        self.needs: Needs | None = None
        self.max_jobs = max_jobs
        self.leases: list[Granted] = []
        self.has_looked = False
        self._is_held = False
        self._rung = asyncio.Event()

    def ring(self, needs: Needs | None = None) -> None:
        """Wake it, for one job or to look for any."""
        self.needs = needs
        self._is_held = False
        self._rung.set()

    async def wait(self) -> None:
        """Return once it is rung."""
        await self._rung.wait()

    def hold(self) -> None:
        """Let it wait until it is rung, whatever its time is."""
        self._is_held = True

    async def given(self) -> list[Granted]:
        """Return the jobs that it was given while it waited."""
        if self._is_held:
            await self._rung.wait()
        return self.leases

    def takes_from(self, user_id: str) -> bool:
        """Whether its worker takes a user's jobs."""
        return not self.claimant.is_draining and self.claimant.owner_id in (None, user_id)

    def fits(self, needs: Needs) -> bool:
        """Whether its worker can run such a job."""
        return self.takes_from(needs.user_id) and self.claimant.capabilities.can_run(
            needs.capabilities, needs.node_types
        )


class Bell:
    """The claims that wait at this replica, longest first."""

    def __init__(self, notifications: Notifications) -> None:
        self._notifications = notifications
        self._waiters: dict[Waiter, None] = {}
        notifications.on(TOPIC, self._ring_all)

    @contextmanager
    def waiter(self, claimant: Claimant, max_jobs: int) -> Iterator[Waiter]:
        """Wait from now on, so that no ring between looking and waiting is lost."""
        waiter = Waiter(claimant, max_jobs)
        self._waiters[waiter] = None
        try:
            yield waiter
        finally:
            self._waiters.pop(waiter, None)

    def hold(self, needs: Needs) -> Waiter | None:
        """Take out a claim that has found nothing and can take a new job; ring it in the end."""
        for waiter in self._waiters:
            if waiter.has_looked and waiter.fits(needs):
                del self._waiters[waiter]
                waiter.hold()
                return waiter
        return None

    def ring(self, needs: Needs) -> None:
        """Wake one claim that can take a new job; where none is here, ask the other replicas."""
        for waiter in self._waiters:
            if waiter.fits(needs):
                del self._waiters[waiter]
                waiter.ring(needs)
                return
        self._notifications.notify(TOPIC, needs.user_id)

    def learn(self, waiter: Waiter, claimant: Claimant) -> None:
        """Note how the worker of a claim stands now: one that drains leaves its ring to others."""
        waiter.claimant = claimant
        waiter.has_looked = True
        if claimant.is_draining:
            self.pass_on(waiter)

    def pass_on(self, waiter: Waiter) -> None:
        """Wake another claim for the job that this one was rung for and does not look for."""
        needs, waiter.needs = waiter.needs, None
        if needs is not None:
            self.ring(needs)

    async def look(self, db: Database) -> None:
        """Wake claims for jobs that became due, or whose ring was lost."""
        if self._waiters:
            for row in await db.pool.fetch(_USERS_WITH_WORK):
                self._ring_all(row["user_id"])

    def _ring_all(self, user_id: str) -> None:
        for waiter in [w for w in self._waiters if w.takes_from(user_id)]:
            del self._waiters[waiter]
            waiter.ring()
