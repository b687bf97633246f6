"""Brings stored events to the readers of this replica.

Events stored here reach local readers in memory. Other replicas are told the job and its last
`seq`, and read the rows once, however many readers they have. A slow poll finds what a lost
wake-up left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple, Protocol

from app.database.engine import Database
from app.database.notifications import Notifications
from app.events.log import Batch, EventLog, Snapshots, Stored

logger = logging.getLogger(__name__)

TOPIC = "job"
POLL_S = 3.0
LOOK_BACK = timedelta(minutes=2)
"""How long an ended job is still looked at by the poll."""


class Head(NamedTuple):
    """The end of a job's log."""

    job_id: str
    user_id: str
    last_seq: int


class Heads(Snapshots, Protocol):
    """Finds the ends of logs, and what the events said, in the tables of jobs and nodes."""

    async def of_jobs(self, job_ids: Collection[str]) -> Mapping[str, Head]:
        """Return those of jobs; one that does not exist is left out."""
        ...

    async def of_users(self, user_ids: Collection[str], look_back: timedelta) -> Sequence[Head]:
        """Return those of users' jobs that have not ended, or ended within `look_back`."""
        ...


class Listener(Protocol):
    """Somebody who wants the events of some jobs."""

    def position(self, job_id: str) -> int | None:
        """Return the last `seq` it has; None while it reads the table by itself."""
        ...

    def offer(self, job_id: str, events: Sequence[Stored]) -> None:
        """Take what is new of these; look into the table where something before them is missing."""
        ...

    def look(self, job_id: str, last_seq: int = 0) -> None:
        """Look into the table: there is more, up to `last_seq` at least."""
        ...

    def gone(self, job_id: str) -> None:
        """Learn that the job was deleted."""
        ...


class Hub:
    """The readers of one replica, by job and by user."""

    def __init__(self, db: Database, notifications: Notifications, heads: Heads) -> None:
        self.log = EventLog(db, heads)
        self.heads = heads
        self._notifications = notifications
        self._by_job: defaultdict[str, set[Listener]] = defaultdict(set)
        self._by_user: defaultdict[str, set[Listener]] = defaultdict(set)
        self._wanted: dict[str, Head] = {}
        self._fetches: set[asyncio.Task[None]] = set()
        self._missed = asyncio.Event()
        notifications.on(TOPIC, self._heard)
        notifications.on_reconnect(self._missed.set)

    def attach(self, listener: Listener, *, job_id: str = "", user_id: str = "") -> None:
        """Bring a job's events, or all of a user's, to a listener from now on."""
        if job_id:
            self._by_job[job_id].add(listener)
        if user_id:
            self._by_user[user_id].add(listener)

    def detach(self, listener: Listener, *, job_id: str = "", user_id: str = "") -> None:
        """Bring it no more; twice does no harm."""
        for table, key in ((self._by_job, job_id), (self._by_user, user_id)):
            if key in table:
                table[key].discard(listener)
                if not table[key]:
                    del table[key]

    def publish(self, batches: Iterable[Batch]) -> None:
        """Spread events that have been committed."""
        for batch in batches:
            for listener in self._listeners(batch.job_id, batch.user_id):
                listener.offer(batch.job_id, batch.events)
            self._notifications.notify(TOPIC, f"{batch.job_id} {batch.user_id} {batch.last_seq}")

    async def poll(self) -> None:
        """Look for what no wake-up told of, after a pause or at once when listening had a gap."""
        try:
            async with asyncio.timeout(POLL_S):
                await self._missed.wait()
        except TimeoutError:
            pass
        self._missed.clear()
        await self._poll_jobs()
        if self._by_user:
            for head in await self.heads.of_users(list(self._by_user), LOOK_BACK):
                self._behind(head)

    async def close(self) -> None:
        """Stop reading for others."""
        for task in self._fetches:
            task.cancel()
        await asyncio.gather(*self._fetches, return_exceptions=True)

    def _listeners(self, job_id: str, user_id: str) -> list[Listener]:
        return [*self._by_job.get(job_id, ()), *self._by_user.get(user_id, ())]

    async def _poll_jobs(self) -> None:
        watched = list(self._by_job)
        if not watched:
            return
        heads = await self.heads.of_jobs(watched)
        for job_id in watched:
            if job_id in heads:
                self._behind(heads[job_id])
            else:
                for listener in list(self._by_job.get(job_id, ())):
                    listener.gone(job_id)

    def _heard(self, text: str) -> None:
        job_id, user_id, last_seq = text.split(" ")
        self._behind(Head(job_id, user_id, int(last_seq)))

    def _behind(self, head: Head) -> None:
        """Bring the readers of a job to the end of its log, if any of them is not there."""
        behind = False
        for listener in self._listeners(head.job_id, head.user_id):
            position = listener.position(head.job_id)
            if position is None:
                listener.look(head.job_id, head.last_seq)
            elif position < head.last_seq:
                behind = True
        if not behind:
            return
        is_fetching = head.job_id in self._wanted
        self._wanted[head.job_id] = head
        if not is_fetching:
            task = asyncio.create_task(self._fetch(head.job_id), name=f"fetch-{head.job_id}")
            self._fetches.add(task)
            task.add_done_callback(self._fetched)

    async def _fetch(self, job_id: str) -> None:
        """Read what the slowest of the waiting readers lacks, once for all of them."""
        try:
            while (after := self._lowest(self._wanted[job_id])) is not None:
                events = await self.log.after(job_id, after)
                _, user_id, last_seq = self._wanted[job_id]
                for listener in self._listeners(job_id, user_id):
                    if events:
                        listener.offer(job_id, events)
                    else:
                        listener.look(job_id, last_seq)
                if not events:
                    return
        finally:
            del self._wanted[job_id]

    def _fetched(self, task: asyncio.Task[None]) -> None:
        self._fetches.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            logger.warning("events were not read, the poll tries again: %s", exc)

    def _lowest(self, head: Head) -> int | None:
        positions = [
            position
            for listener in self._listeners(head.job_id, head.user_id)
            if (position := listener.position(head.job_id)) is not None and position < head.last_seq
        ]
        return min(positions, default=None)
