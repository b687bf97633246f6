"""Dispatcher of due webhook deliveries; every replica runs one, and claims each attempt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

from app.database.engine import Database
from app.database.errors import is_database_away
from app.runtime import metrics
from app.settings import Settings
from app.webhooks import queries
from app.webhooks.attempt_slots import AttemptSlots
from app.webhooks.delivery import DeliverySender, Outcome
from app.webhooks.queries import AttemptRecord, DueRecord
from app.webhooks.retry_schedule import back_off_s

logger = logging.getLogger(__name__)

POLL_S = 1.0
RECEIVERS_PER_QUERY = 500
CLOSE_GRACE_S = 10.0
"""Grace period for running attempts when the replica stops."""

_FIRST = ("", "")


class WebhookDispatcher:
    """Claims due deliveries and runs their attempts.

    A claim is a lease: if the replica crashes, the attempt is repeated after the lease expires.
    """

    def __init__(self, db: Database, sender: DeliverySender, settings: Settings) -> None:
        self._db = db
        self._sender = sender
        self._schedule_s = settings.webhook_retry_s
        self._lease = timedelta(seconds=2 * settings.webhook_timeout_s)
        self._slots = AttemptSlots(
            total=settings.webhook_concurrency,
            per_receiver=settings.webhook_concurrency_per_receiver,
        )
        self._woken = asyncio.Event()
        self._after = _FIRST
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Poll now, since a delivery has become due or a slot is free."""
        self._woken.set()

    async def run(self) -> None:
        """Wait for `wake` or the next poll, then start the attempts that are due."""
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._woken.wait()
        self._woken.clear()
        while not self._slots.are_full and await self._start_some():
            pass

    async def close(self) -> None:
        """Wait for running attempts; cancel them after the grace period."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_GRACE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _start_some(self) -> bool:
        """Start the due attempts of the next receivers; return True if more receivers follow."""
        found = await queries.due(
            self._db.pool,
            after=self._after,
            receivers=RECEIVERS_PER_QUERY,
            each=self._slots.per_receiver,
        )
        last = max(found, key=lambda row: row.place, default=None)
        are_more = last is not None and last.place == RECEIVERS_PER_QUERY
        self._after = (last.user_id, last.receiver) if last and are_more else _FIRST
        due = {
            row.id: row
            for row in found
            if row.id is not None and self._slots.acquire(row.user_id, row.receiver)
        }
        if due:
            await self._start(due)
        return are_more

    async def _start(self, due: Mapping[str, DueRecord]) -> None:
        """Claim deliveries for which slots were acquired, and start their attempts."""
        claimed: list[AttemptRecord] = []
        try:
            claimed = await queries.claim(self._db.pool, list(due), lease=self._lease)
        finally:
            for delivery_id in due.keys() - {attempt.id for attempt in claimed}:
                self._slots.release(due[delivery_id].user_id, due[delivery_id].receiver)
        for attempt in claimed:
            task = asyncio.create_task(self._attempt(attempt), name="webhook")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _attempt(self, attempt: AttemptRecord) -> None:
        try:
            with metrics.WEBHOOKS_IN_FLIGHT.track_inprogress():
                outcome = await self._sender.send(attempt)
            await self._settle(attempt, outcome)
        except Exception as exc:
            if is_database_away(exc):
                logger.warning("webhook %s is sent again: the database is unavailable", attempt.id)
            else:
                logger.exception("cannot store the outcome of webhook %s", attempt.id)
        finally:
            self._slots.release(attempt.user_id, attempt.receiver)
            self.wake()

    async def _settle(self, attempt: AttemptRecord, outcome: Outcome) -> None:
        """Store the outcome of an attempt and, after a failure, the time of the next one."""
        back_off: float | None = None
        if outcome.error is not None and not outcome.is_final:
            count = attempt.attempts - attempt.attempts_before
            back_off = back_off_s(self._schedule_s, count, retry_after_s=outcome.retry_after_s)
        status = _status(outcome, back_off)
        await queries.settle(
            self._db.pool,
            attempt.id,
            attempt=attempt.attempts,
            status=status,
            back_off=None if back_off is None else timedelta(seconds=back_off),
            attempted_at=attempt.now,
            status_code=outcome.status_code,
            body=outcome.body,
            error=outcome.error,
        )
        metrics.WEBHOOK_ATTEMPTS.labels(status).inc()


def _status(outcome: Outcome, back_off: float | None) -> str:
    if outcome.error is None:
        return "delivered"
    return "failed" if back_off is None else "pending"
