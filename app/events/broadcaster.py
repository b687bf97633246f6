"""Broadcast of stored events to the subscribers of this replica.

Local subscribers receive the events of this replica in memory. Other replicas are notified of the
job's id and its last `seq`, and read the rows once for all of their subscribers. A slow poll finds
events whose notification was lost.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Protocol

from app.database.notifications import Notifications
from app.events.envelope import LogBatch, StoredEvent
from app.events.job_queries import LogPosition
from app.events.log import EventLog
from app.runtime import metrics

logger = logging.getLogger(__name__)

TOPIC = "job"
POLL_INTERVAL_S = 3.0
LOOK_BACK = timedelta(minutes=2)
"""Time for which the poll still includes a job after its end."""


class Subscriber(Protocol):
    """A receiver of the events of some jobs."""

    def position(self, job_id: str) -> int | None:
        """Return the last `seq` received; None while the subscriber is reading the table."""
        ...

    def deliver(self, job_id: str, events: Sequence[StoredEvent]) -> None:
        """Process those of the events that are new; read the table if earlier ones are missing."""
        ...

    def catch_up(self, job_id: str, last_seq: int = 0) -> None:
        """Read the table, which has more events, at least up to `last_seq`."""
        ...

    def job_deleted(self, job_id: str) -> None:
        """Handle the deletion of a job."""
        ...


class Broadcaster:
    """Passes stored events to the subscribers of a replica, by job and by user."""

    def __init__(self, log: EventLog, notifications: Notifications) -> None:
        self.log = log
        self._notifications = notifications
        self._by_job: defaultdict[str, set[Subscriber]] = defaultdict(set)
        self._by_user: defaultdict[str, set[Subscriber]] = defaultdict(set)
        self._fetching: dict[str, LogPosition] = {}
        self._fetches: set[asyncio.Task[None]] = set()
        self._gap = asyncio.Event()
        notifications.on(TOPIC, self._on_notification)
        notifications.on_reconnect(self._gap.set)

    def subscribe(self, subscriber: Subscriber, *, job_id: str = "", user_id: str = "") -> None:
        """Register a subscriber for the events of a job, or of all jobs of a user."""
        if job_id:
            self._by_job[job_id].add(subscriber)
        if user_id:
            self._by_user[user_id].add(subscriber)

    def unsubscribe(self, subscriber: Subscriber, *, job_id: str = "", user_id: str = "") -> None:
        """Unregister a subscriber; do nothing if it is not registered."""
        for table, key in ((self._by_job, job_id), (self._by_user, user_id)):
            if key in table:
                table[key].discard(subscriber)
                if not table[key]:
                    del table[key]

    def publish(self, batches: Iterable[LogBatch]) -> None:
        """Broadcast committed events, in this replica and to the others."""
        for batch in batches:
            metrics.EVENT_LAG.observe(max(time.time() - batch.time.timestamp(), 0))
            for subscriber in self._subscribers(batch.job_id, batch.user_id):
                subscriber.deliver(batch.job_id, batch.events)
            self._notifications.notify(TOPIC, f"{batch.job_id} {batch.user_id} {batch.last_seq}")

    async def poll(self) -> None:
        """Wait for the interval (not after an interruption of LISTEN), then find missed events."""
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_INTERVAL_S):
                await self._gap.wait()
        self._gap.clear()
        await self._poll_jobs()
        if self._by_user:
            for position in await self.log.positions_of_users(list(self._by_user), LOOK_BACK):
                self._announce(position)

    async def close(self) -> None:
        """Cancel all reads for subscribers."""
        for task in self._fetches:
            task.cancel()
        await asyncio.gather(*self._fetches, return_exceptions=True)

    def _subscribers(self, job_id: str, user_id: str) -> list[Subscriber]:
        return [*self._by_job.get(job_id, ()), *self._by_user.get(user_id, ())]

    async def _poll_jobs(self) -> None:
        job_ids = list(self._by_job)
        if not job_ids:
            return
        positions = await self.log.positions(job_ids)
        for job_id in job_ids:
            if job_id in positions:
                self._announce(positions[job_id])
            else:
                for subscriber in list(self._by_job.get(job_id, ())):
                    subscriber.job_deleted(job_id)

    def _on_notification(self, text: str) -> None:
        job_id, user_id, last_seq = text.split(" ")
        self._announce(LogPosition(job_id, user_id, int(last_seq)))

    def _announce(self, end: LogPosition) -> None:
        """Make the subscribers of a job that are behind the end of its log catch up."""
        is_behind = False
        for subscriber in self._subscribers(end.job_id, end.user_id):
            position = subscriber.position(end.job_id)
            if position is None:
                subscriber.catch_up(end.job_id, end.last_seq)
            elif position < end.last_seq:
                is_behind = True
        if not is_behind:
            return
        is_fetching = end.job_id in self._fetching
        self._fetching[end.job_id] = end
        if not is_fetching:
            task = asyncio.create_task(self._fetch(end.job_id), name=f"fetch-{end.job_id}")
            self._fetches.add(task)
            task.add_done_callback(self._fetched)

    async def _fetch(self, job_id: str) -> None:
        """Read the events that the slowest subscriber lacks, and deliver them to all."""
        began = time.monotonic()
        try:
            while (after := self._lowest_position(self._fetching[job_id])) is not None:
                events = await self.log.after(job_id, after)
                end = self._fetching[job_id]
                for subscriber in self._subscribers(job_id, end.user_id):
                    if events:
                        subscriber.deliver(job_id, events)
                    else:
                        subscriber.catch_up(job_id, end.last_seq)
                if not events:
                    return
            metrics.EVENT_LAG.observe(time.monotonic() - began)
        finally:
            del self._fetching[job_id]

    def _fetched(self, task: asyncio.Task[None]) -> None:
        self._fetches.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            logger.warning("cannot read events (the next poll retries): %s", exc)

    def _lowest_position(self, end: LogPosition) -> int | None:
        positions = [
            position
            for subscriber in self._subscribers(end.job_id, end.user_id)
            if (position := subscriber.position(end.job_id)) is not None and position < end.last_seq
        ]
        return min(positions, default=None)
