"""Order in which claims serve users: those with the fewest running jobs first.

The order is a hint in the memory of a replica, so that a claim reads the jobs of a few users, not
those of all. It is read again every second; in between, a replica counts the jobs that it leases.
What must hold is checked by the statement of the claim: the status of a job, and the limit of
running jobs of a user who may be near it.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Iterable
from typing import NamedTuple

from app.database.engine import Database
from app.queue import turn_queries

FEW, MANY = 16, 512
"""Users whose jobs a claim reads at first, and those that it reads next if they have no job."""

NEAR_LIMIT_MARGIN = 64
"""Jobs of a user that other replicas may have leased since the numbers were read."""


class UserTurn(NamedTuple):
    """A user with queued jobs, and the number of the user's running jobs.

    `is_near_limit`: the number has to be counted exactly.
    """

    user_id: str
    running: int
    is_near_limit: bool


class UserTurns:
    """Users with queued jobs, and the numbers of their running jobs.

    Args:
        db: The database.
        user_limit: The maximum number of running jobs of one user.
    """

    def __init__(self, db: Database, *, user_limit: int) -> None:
        self._db = db
        self._user_limit = user_limit
        self._queued: dict[str, int] = {}
        self._running: Counter[str] = Counter()
        self._claims = itertools.count(1)

    async def read_queued(self) -> None:
        """Read the users with queued jobs."""
        users = await turn_queries.users_with_lanes(self._db.pool)
        self._queued = {user_id: self._queued.get(user_id, 0) for user_id in users}

    async def read_running(self) -> None:
        """Read the numbers of running jobs."""
        self._running = Counter(await turn_queries.running(self._db.pool))

    def add(self, user_id: str) -> None:
        """Add a user who has a new queued job."""
        self._queued.setdefault(user_id, 0)

    def record_leased(self, user_ids: Iterable[str]) -> None:
        """Count jobs that were leased."""
        claim = next(self._claims)
        for user_id in user_ids:
            self._running[user_id] += 1
            if user_id in self._queued:
                self._queued[user_id] = claim

    async def in_order(
        self, owner_id: str | None, *, max_jobs: int
    ) -> AsyncGenerator[list[UserTurn]]:
        """Yield the users whose jobs a worker may run, some at a time, in the order of turns.

        Args:
            owner_id: The only user whose jobs the worker runs; None for all users.
            max_jobs: The number of jobs that may be leased.
        """
        if owner_id is not None:
            yield [self.of(owner_id, max_jobs=max_jobs)]
            return
        is_read = not self._queued
        if is_read:
            await self.read_queued()
        found = self._first(FEW, without=(), max_jobs=max_jobs)
        yield found
        tried: set[str] = set()
        while True:
            tried.update(turn.user_id for turn in found)
            found = self._first(MANY, without=tried, max_jobs=max_jobs)
            if not found and not is_read:
                is_read = True
                await self.read_queued()
                found = self._first(MANY, without=tried, max_jobs=max_jobs)
            if not found:
                return
            yield found

    def _first(self, count: int, *, without: Collection[str], max_jobs: int) -> list[UserTurn]:
        users = (user_id for user_id in self._queued if user_id not in without)
        first = heapq.nsmallest(count, users, key=self._order)
        return [self.of(user_id, max_jobs=max_jobs) for user_id in first]

    def of(self, user_id: str, *, max_jobs: int) -> UserTurn:
        """Return the turn of one user."""
        is_near = self.is_near_limit(user_id, max_jobs=max_jobs)
        return UserTurn(user_id, self._running[user_id], is_near)

    def is_near_limit(self, user_id: str, *, max_jobs: int) -> bool:
        """Return True if a user may reach the limit of running jobs with this many more."""
        return self._running[user_id] + max_jobs + NEAR_LIMIT_MARGIN > self._user_limit / 2

    def _order(self, user_id: str) -> tuple[int, int]:
        return self._running[user_id], self._queued[user_id]
