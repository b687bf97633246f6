"""Subscribers that send the log of a job, or of all jobs of a user, to one connection.

A subscriber registers with the broadcaster, then reads the table up to its end, then sends the
events that the broadcaster delivers. If earlier events are missing, it reads the table again. So
every event is sent exactly once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from app.database.errors import is_database_away
from app.events.broadcaster import LOOK_BACK, Broadcaster
from app.events.envelope import StoredEvent
from app.events.job_queries import JobState
from app.events.log import PAGE_BYTES, PAGE_EVENTS
from app.events.send_queue import CRASHED, SendQueue, SendQueueClosed

logger = logging.getLogger(__name__)

RETRY_S = 0.5


class SentRange(NamedTuple):
    """The events of a job after `after` and up to `last`."""

    after: int
    last: int


class LogSubscriber:
    """Base class of the subscribers to one job and to all jobs of a user."""

    def __init__(self, broadcaster: Broadcaster, send_queue: SendQueue) -> None:
        self._broadcaster = broadcaster
        self._send_queue = send_queue
        self._sent: dict[str, int] = {}
        self._begun: dict[str, int] = {}
        self._reading: dict[str, bool] = {}
        self._known: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    def position(self, job_id: str) -> int | None:
        """Return the last `seq` sent; None while the subscriber is reading the table."""
        return None if job_id in self._reading else self._sent.get(job_id, 0)

    def sent_range(self, job_id: str) -> SentRange | None:
        """Return the events of a job that were sent; None before the first one."""
        begun = self._begun.get(job_id)
        return None if begun is None else SentRange(begun, self._sent[job_id])

    def deliver(self, job_id: str, events: Sequence[StoredEvent]) -> None:
        """Send those of the events that are new; read the table if earlier ones are missing."""
        if self._is_closed:
            return
        sent = self._sent.get(job_id, 0)
        if events[-1].seq <= sent:
            return
        if job_id in self._reading or events[0].seq > sent + 1:
            self.catch_up(job_id, events[-1].seq)
        else:
            self._send(job_id, events)

    def catch_up(self, job_id: str, last_seq: int = 0) -> None:
        """Read the table from the current position, at least up to `last_seq`."""
        if self._is_closed:
            return
        self._reading[job_id] = True
        self._known[job_id] = max(last_seq, self._known.get(job_id, 0))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._read_all(), name=f"read-{job_id}")

    def close(self) -> None:
        """Stop sending."""
        self._is_closed = True
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def job_deleted(self, job_id: str) -> None:
        """Handle the deletion of the job; the base class does nothing."""

    def _send(self, job_id: str, events: Sequence[StoredEvent]) -> None:
        sent = self._sent.get(job_id, 0)
        self._begun.setdefault(job_id, sent)
        for event in events:
            if event.seq > sent:
                sent = event.seq
                self._sent[job_id] = sent
                if not self._is_repeated(event):
                    self._send_queue.put_event(job_id, event)
                if event.is_end:
                    self._on_last_event(job_id)

    def _is_repeated(self, event: StoredEvent) -> bool:  # noqa: ARG002
        """Return True for an event that another subscriber of the connection has sent."""
        return False

    def _is_active(self, job_id: str) -> bool:  # noqa: ARG002
        """Return False while another subscriber of the connection sends the events of a job."""
        return True

    def _on_last_event(self, job_id: str) -> None:
        """Handle the end of a job whose last event has been sent."""

    def _on_caught_up(self, job_id: str) -> None:
        """Handle the end of a replay: all events in the table have been sent."""

    async def _read_all(self) -> None:
        try:
            while self._reading and not self._is_closed:
                await self._read(next(iter(self._reading)))
        except SendQueueClosed:
            self._is_closed = True
        except Exception:
            logger.exception("subscriber failed")
            self._send_queue.close(CRASHED, "internal error")

    async def _read(self, job_id: str) -> None:
        while self._reading[job_id] and not self._is_closed and self._is_active(job_id):
            await self._send_queue.drain()
            self._reading[job_id] = False
            sent, known = self._sent.get(job_id, 0), self._known[job_id]
            try:
                events = await self._broadcaster.log.after(job_id, sent, known=known)
            except Exception as exc:
                if not is_database_away(exc):
                    raise
                self._reading[job_id] = True
                await asyncio.sleep(RETRY_S)
                continue
            if self._is_active(job_id):
                self._send(job_id, events)
            is_full = len(events) >= PAGE_EVENTS or sum(len(e.text) for e in events) >= PAGE_BYTES
            self._reading[job_id] = self._reading[job_id] or is_full
        del self._reading[job_id], self._known[job_id]
        if not self._is_closed:
            self._on_caught_up(job_id)


class JobSubscriber(LogSubscriber):
    """Sends the events of one job after `after`, up to the last one.

    Events in `sent` are not sent again. Events between `after` and the first of them are sent, even
    though later ones came before.

    Args:
        broadcaster: The broadcaster of the replica.
        send_queue: Receives the events.
        job_id: The job.
        after: The `seq` of the last event that the connection has.
        state: The state of the job, read before.
        sent: The events that other subscribers of the connection have sent.
        on_caught_up: Called once with the last `seq` when all events in the table have been sent.
        on_end: Called when the last event of the job has been sent.
        on_deleted: Called when the job has been deleted.
    """

    def __init__(
        self,
        broadcaster: Broadcaster,
        send_queue: SendQueue,
        job_id: str,
        *,
        after: int,
        state: JobState,
        sent: SentRange | None = None,
        on_caught_up: Callable[[int], None] | None = None,
        on_end: Callable[[], None] | None = None,
        on_deleted: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(broadcaster, send_queue)
        self.job_id = job_id
        self._before = sent or SentRange(after, after)
        self._sent[job_id] = position = (
            after if after < self._before.after else max(after, self._before.last)
        )
        self._begun[job_id] = min(after, self._before.after)
        self._last_seq = state.last_seq
        self._call_on_caught_up = on_caught_up
        self._call_on_end = on_end
        self._call_on_deleted = on_deleted
        self._has_ended = state.has_ended and position >= state.last_seq

    @property
    def last_sent(self) -> int:
        """The last `seq` sent."""
        return self._sent[self.job_id]

    def start(self) -> None:
        """Start sending."""
        self._broadcaster.subscribe(self, job_id=self.job_id)
        self.catch_up(self.job_id, self._last_seq)

    def close(self) -> None:
        """Stop sending."""
        super().close()
        self._broadcaster.unsubscribe(self, job_id=self.job_id)

    def job_deleted(self, job_id: str) -> None:
        """Report the deletion of the job after the events that have been read are sent."""
        if job_id not in self._reading and not self._is_closed:
            self.close()
            if self._call_on_deleted is not None:
                self._call_on_deleted()

    def _is_repeated(self, event: StoredEvent) -> bool:
        return self._before.after < event.seq <= self._before.last

    def _on_last_event(self, job_id: str) -> None:
        self._has_ended = True
        if job_id not in self._reading:
            self._finish()

    def _on_caught_up(self, job_id: str) -> None:
        del job_id
        if self._call_on_caught_up is not None:
            self._call_on_caught_up(self.last_sent)
            self._call_on_caught_up = None
        if self._has_ended:
            self._finish()

    def _finish(self) -> None:
        self.close()
        if self._call_on_end is not None:
            self._call_on_end()


class UserSubscriber(LogSubscriber):
    """Sends the new events of all jobs of a user.

    Args:
        broadcaster: The broadcaster of the replica.
        send_queue: Receives the events.
        user_id: The user.
        is_elsewhere: Whether another subscriber of the same connection sends the events of a job.
    """

    def __init__(
        self,
        broadcaster: Broadcaster,
        send_queue: SendQueue,
        user_id: str,
        *,
        is_elsewhere: Callable[[str], bool],
    ) -> None:
        super().__init__(broadcaster, send_queue)
        self._user_id = user_id
        self._is_elsewhere = is_elsewhere
        self._ended_at: dict[str, float] = {}
        self._early: set[str] | None = set()

    def subscribe(self) -> None:
        """Subscribe; jobs with new events are recorded until `start` reads the events."""
        self._broadcaster.subscribe(self, user_id=self._user_id)

    def start(self, positions: Mapping[str, int]) -> None:
        """Start sending after these positions; jobs without a position are sent from the start."""
        early, self._early = self._early or set(), None
        self._sent.update(positions)
        for job_id in early:
            self.catch_up(job_id)

    def resume(self, job_id: str, sent: SentRange) -> None:
        """Take over a job from another subscriber of the connection, which sent these events."""
        self._begun[job_id] = min(sent.after, self._begun.get(job_id, sent.after))
        self._sent[job_id] = max(sent.last, self._sent.get(job_id, 0))

    def position(self, job_id: str) -> int | None:
        """Return the last `seq` sent; None while the subscriber does not accept events."""
        if self._early is not None or self._is_elsewhere(job_id):
            return None
        return super().position(job_id)

    def deliver(self, job_id: str, events: Sequence[StoredEvent]) -> None:
        """Send those of the events that are new."""
        if self._early is not None:
            self._early.add(job_id)
        elif not self._is_elsewhere(job_id):
            super().deliver(job_id, events)

    def catch_up(self, job_id: str, last_seq: int = 0) -> None:
        """Read the table from the current position, at least up to `last_seq`."""
        if self._early is not None:
            self._early.add(job_id)
        elif not self._is_elsewhere(job_id):
            super().catch_up(job_id, last_seq)

    def close(self) -> None:
        """Stop sending."""
        super().close()
        self._broadcaster.unsubscribe(self, user_id=self._user_id)

    def _is_active(self, job_id: str) -> bool:
        return not self._is_elsewhere(job_id)

    def _on_last_event(self, job_id: str) -> None:
        """Remove the positions of jobs that the poll no longer includes."""
        now = time.monotonic()
        self._ended_at[job_id] = now
        keep_s = 3 * LOOK_BACK.total_seconds()
        while self._ended_at and now - next(iter(self._ended_at.values())) > keep_s:
            old = next(iter(self._ended_at))
            del self._ended_at[old]
            self._sent.pop(old, None)
            self._begun.pop(old, None)
