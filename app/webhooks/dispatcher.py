"""Delivers what is due. Every replica does; each attempt is claimed by one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import asyncpg

from app.database.engine import Database
from app.database.errors import is_database_away
from app.runtime import metrics
from app.settings import Settings
from app.webhooks import queries
from app.webhooks.delivery import Attempt, Outcome, Sender
from app.webhooks.retry_schedule import pause_s
from app.webhooks.slots import Slots

logger = logging.getLogger(__name__)

POLL_S = 1.0
RECEIVERS_AT_ONCE = 500
CLOSE_S = 10.0
"""How long attempts that are under way may take once the replica is going."""

_FIRST = ("", "")


class Dispatcher:
    """The attempts of one replica.

    A claim is a lease: when the replica dies, the attempt is made again once the lease is over.
    """

    def __init__(self, db: Database, sender: Sender, settings: Settings) -> None:
        self._db = db
        self._sender = sender
        self._retry_s = settings.webhook_retry_s
        self._lease = timedelta(seconds=2 * settings.webhook_timeout_s)
        self._slots = Slots(
            total=settings.webhook_concurrency,
            per_receiver=settings.webhook_concurrency_per_receiver,
        )
        self._woken = asyncio.Event()
        self._after = _FIRST
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Look soon: something is due, or a place is free."""
        self._woken.set()

    async def turn(self) -> None:
        """Wait until woken, or for the slow poll; then begin what is due and has a place."""
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._woken.wait()
        self._woken.clear()
        while not self._slots.are_taken and await self._look():
            pass

    async def close(self) -> None:
        """Let attempts end; those that take long are made again by another replica."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look(self) -> bool:
        """Begin what is due at the next receivers; whether there are more of them."""
        rows = await queries.due(
            self._db.pool,
            self._after,
            receivers=RECEIVERS_AT_ONCE,
            each=self._slots.per_receiver,
        )
        last = max(rows, key=lambda row: int(row["place"]), default=None)
        are_more = last is not None and last["place"] == RECEIVERS_AT_ONCE
        self._after = (last["user_id"], last["receiver"]) if last and are_more else _FIRST
        placed = [
            row
            for row in rows
            if row["id"] is not None and self._slots.take(row["user_id"], row["receiver"])
        ]
        if placed:
            await self._begin(placed)
        return are_more

    async def _begin(self, placed: Sequence[asyncpg.Record]) -> None:
        claimed: list[asyncpg.Record] = []
        try:
            ids = [row["id"] for row in placed]
            claimed = await queries.claim(self._db.pool, ids, self._lease)
        finally:
            ours = {row["id"] for row in claimed}
            for row in placed:
                if row["id"] not in ours:
                    self._slots.release(row["user_id"], row["receiver"])
        for row in claimed:
            task = asyncio.create_task(self._attempt(Attempt(**row)), name="webhook")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _attempt(self, attempt: Attempt) -> None:
        try:
            with metrics.WEBHOOKS_IN_FLIGHT.track_inprogress():
                outcome = await self._sender.send(attempt)
            await self._settle(attempt, outcome)
        except Exception as exc:
            if is_database_away(exc):
                logger.warning("webhook %s will be sent again: the database is away", attempt.id)
            else:
                logger.exception("what came of webhook %s could not be stored", attempt.id)
        finally:
            self._slots.release(attempt.user_id, attempt.receiver)
            self.wake()

    async def _settle(self, attempt: Attempt, outcome: Outcome) -> None:
        pause: float | None = None
        status = "delivered"
        if outcome.error is not None:
            made = attempt.attempts - attempt.attempts_before
            if not outcome.is_final:
                pause = pause_s(self._retry_s, made, asked_s=outcome.asked_s)
            status = "failed" if pause is None else "pending"
        await queries.settle(
            self._db.pool,
            attempt.id,
            attempt.attempts,
            status=status,
            pause=None if pause is None else timedelta(seconds=pause),
            attempted_at=attempt.now,
            status_code=outcome.status_code,
            body=outcome.body,
            error=outcome.error,
        )
        metrics.WEBHOOK_ATTEMPTS.labels(status).inc()
