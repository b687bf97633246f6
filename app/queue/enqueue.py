"""New jobs on their way: into the queue, or straight to a claim that waits for one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import asyncpg

from app.database.batching import Gathering
from app.database.engine import Database
from app.http.auth import JOB_PREFIX, hash_token, new_token
from app.jobs.queries import On
from app.queue import enqueue_queries
from app.queue.claim_queries import Granted
from app.queue.enqueue_queries import NewJob, Offer, Origin
from app.queue.transitions import Ledgers
from app.queue.waiting_claims import Bell, Needs, Waiter
from app.settings import Settings


class Makings:
    """Makes jobs, several at once where they come together."""

    def __init__(
        self, db: Database, ledgers: Ledgers, bell: Bell, settings: Settings, *, lost_after_s: float
    ) -> None:
        self._db = db
        self._ledgers = ledgers
        self._bell = bell
        self._lost_after_s = lost_after_s
        self._user_limit = settings.max_running_jobs_per_user
        self._ttl_s = settings.lease_ttl_s
        self._gathering = Gathering(self.make_all)
        self._under_way = 0

    async def make(self, origin: Origin, new: NewJob) -> asyncpg.Record:
        """Store a job and tell of it; returns what `enqueue_queries.insert` does."""
        return await self._gathering.ask((origin, new))

    async def make_all(self, jobs: Sequence[tuple[Origin, NewJob]]) -> Sequence[asyncpg.Record]:
        """Store many jobs, all of them or none, and tell of them."""
        with self.making(jobs) as making:
            await self.store(self._db.pool, making)
            self.tell(making)
        return making.rows

    @contextmanager
    def making(self, jobs: Sequence[tuple[Origin, NewJob]]) -> Iterator[Making]:
        """Hold claims that wait for these jobs, until the block ends.

        None is held while others are made: one claim that takes several jobs out of the queue is
        less work than several that are handed one each.
        """
        making = Making(None if self._under_way else self._bell, jobs)
        self._under_way += 1
        try:
            yield making
        finally:
            self._under_way -= 1
            making.let_go()

    async def store(self, on: On, making: Making) -> Sequence[asyncpg.Record]:
        """Store the jobs; `tell` once that is committed."""
        making.rows = await enqueue_queries.insert(
            on,
            making.offers,
            lost_after_s=self._lost_after_s,
            user_limit=self._user_limit,
            ttl_s=self._ttl_s,
        )
        return making.rows

    def tell(self, making: Making) -> None:
        """Tell readers and workers of the jobs, and give them to those that were held for them."""
        batches = [
            enqueue_queries.first_events(offer.origin, row)
            for offer, row in zip(making.offers, making.rows, strict=True)
        ]
        self._ledgers.spread(batches, queued=making.settle())


class Making:
    """Jobs that are being made, and the claims that are held for them.

    Each job is for another claim, as long as there are any, so that idle workers share them.
    """

    def __init__(self, bell: Bell | None, jobs: Sequence[tuple[Origin, NewJob]]) -> None:
        self.rows: Sequence[asyncpg.Record] = ()
        self._held: dict[Waiter, int] = {}
        self._places = [self._place(bell, origin, new) for origin, new in jobs]
        self._tokens = [new_token(JOB_PREFIX) if waiter else None for waiter in self._places]
        self.offers = [
            Offer(origin, new)
            if waiter is None or token is None
            else Offer(origin, new, waiter.claimant.id, hash_token(token))
            for (origin, new), waiter, token in zip(jobs, self._places, self._tokens, strict=True)
        ]

    def settle(self) -> list[Needs]:
        """Give the jobs to the claims; returns what those need that go to the queue, for now."""
        queued = []
        for offer, row, waiter, token in zip(
            self.offers, self.rows, self._places, self._tokens, strict=True
        ):
            if row["is_granted"] and waiter is not None and token is not None:
                waiter.leases.append(Granted(token, enqueue_queries.granted_row(offer, row)))
            elif offer.new.run_at is None or offer.new.run_at <= row["now"]:
                queued.append(enqueue_queries.needs(offer.origin, offer.new))
        return queued

    def let_go(self) -> None:
        """Ring the claims: those with a job are answered, the others look for themselves."""
        for waiter in self._held:
            waiter.ring()

    def _place(self, bell: Bell | None, origin: Origin, new: NewJob) -> Waiter | None:
        if bell is None or new.run_at is not None:
            return None
        needs = enqueue_queries.needs(origin, new)
        waiter = bell.hold(needs) or next(
            (w for w, count in self._held.items() if count < w.max_jobs and w.fits(needs)), None
        )
        if waiter is not None:
            self._held[waiter] = self._held.get(waiter, 0) + 1
        return waiter
