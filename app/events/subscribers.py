"""Subscribers that send the log of a job, or of all jobs of a user, to one connection.

A subscriber first registers with the broadcaster, then reads the table up to its end, then takes
the events that the broadcaster delivers. Where one is missing before them it reads the table again.
So no event is missed and none is sent twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence

from app.database.errors import is_database_away
from app.events.broadcaster import LOOK_BACK, Broadcaster
from app.events.envelope import StoredEvent
from app.events.job_queries import JobState
from app.events.log import PAGE_BYTES, PAGE_EVENTS
from app.events.send_queue import CRASHED, SendQueue, SendQueueClosed

logger = logging.getLogger(__name__)

RETRY_S = 0.5


class LogSubscriber:
    """Base of the subscribers of one job and of all jobs of a user."""

    def __init__(self, broadcaster: Broadcaster, send_queue: SendQueue) -> None:
        self._broadcaster = broadcaster
        self._send_queue = send_queue
        self._sent: dict[str, int] = {}
        self._reading: dict[str, bool] = {}
        self._known: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    def position(self, job_id: str) -> int | None:
        """Return the last `seq` sent; None while the subscriber reads the table itself."""
        return None if job_id in self._reading else self._sent.get(job_id, 0)

    def deliver(self, job_id: str, events: Sequence[StoredEvent]) -> None:
        """Send the new ones of these events; read the table where events before are missing."""
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
        """Read the table from the present position on, up to `last_seq` at least."""
        if self._is_closed:
            return
        self._reading[job_id] = True
        self._known[job_id] = max(last_seq, self._known.get(job_id, 0))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._read_all(), name=f"read-{job_id}")

    def close(self) -> None:
        """Send no more."""
        self._is_closed = True
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def job_deleted(self, job_id: str) -> None:
        """Learn that the job was deleted."""

    def _send(self, job_id: str, events: Sequence[StoredEvent]) -> None:
        sent = self._sent.get(job_id, 0)
        for event in events:
            if event.seq > sent:
                sent = event.seq
                self._sent[job_id] = sent
                self._send_queue.put_event(job_id, event)
                if event.is_end:
                    self._on_last_event(job_id)

    def _on_last_event(self, job_id: str) -> None:
        """Learn that the job's last event has been sent."""

    def _on_caught_up(self, job_id: str) -> None:
        """Learn that all events in the table have been sent."""

    async def _read_all(self) -> None:
        try:
            while self._reading and not self._is_closed:
                await self._read(next(iter(self._reading)))
        except SendQueueClosed:
            self._is_closed = True
        except Exception:
            logger.exception("a subscriber failed")
            self._send_queue.close(CRASHED, "internal error")

    async def _read(self, job_id: str) -> None:
        while self._reading[job_id] and not self._is_closed:
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
            self._send(job_id, events)
            is_full = len(events) >= PAGE_EVENTS or sum(len(e.text) for e in events) >= PAGE_BYTES
            self._reading[job_id] = self._reading[job_id] or is_full
        del self._reading[job_id], self._known[job_id]
        if not self._is_closed:
            self._on_caught_up(job_id)


class JobSubscriber(LogSubscriber):
    """Sends the log of one job after the event `after`, to its end.

    Args:
        broadcaster: The broadcaster of the replica.
        send_queue: Receives the events.
        job_id: The job.
        after: The `seq` of the last event that the connection has.
        state: The state of the job when it was looked up.
        on_caught_up: Called once with the last `seq` when all events in the table have been sent.
        on_end: Called when the last event of the job has been sent.
        on_deleted: Called when the job was deleted.
    """

    def __init__(
        self,
        broadcaster: Broadcaster,
        send_queue: SendQueue,
        job_id: str,
        *,
        after: int,
        state: JobState,
        on_caught_up: Callable[[int], None] | None = None,
        on_end: Callable[[], None] | None = None,
        on_deleted: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(broadcaster, send_queue)
        self.job_id = job_id
        self._sent[job_id] = after
        self._last_seq = state.last_seq
        self._call_on_caught_up = on_caught_up
        self._call_on_end = on_end
        self._call_on_deleted = on_deleted
        self._has_ended = state.has_ended and after >= state.last_seq

    @property
    def last_sent(self) -> int:
        """The last `seq` sent."""
        return self._sent[self.job_id]

    def start(self) -> None:
        """Begin to send."""
        self._broadcaster.subscribe(self, job_id=self.job_id)
        self.catch_up(self.job_id, self._last_seq)

    def close(self) -> None:
        """Send no more."""
        super().close()
        self._broadcaster.unsubscribe(self, job_id=self.job_id)

    def job_deleted(self, job_id: str) -> None:
        """Report the deletion of the job, once the events that were read have been sent."""
        if job_id not in self._reading and not self._is_closed:
            self.close()
            if self._call_on_deleted is not None:
                self._call_on_deleted()

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
    """Sends the events of all jobs of a user from one moment on.

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
        """Note from now on which jobs have new events; `start` reads them."""
        self._broadcaster.subscribe(self, user_id=self._user_id)

    def start(self, positions: Mapping[str, int]) -> None:
        """Begin to send after these positions; a job without one is new, and sent whole."""
        early, self._early = self._early or set(), None
        self._sent.update(positions)
        for job_id in early:
            self.catch_up(job_id)

    def resume(self, job_id: str, last_sent: int) -> None:
        """Continue with a job that another subscriber sent until now."""
        self._sent[job_id] = max(last_sent, self._sent.get(job_id, 0))

    def position(self, job_id: str) -> int | None:
        """Return the last `seq` sent; None where the subscriber takes no events now."""
        if self._early is not None or self._is_elsewhere(job_id):
            return None
        return super().position(job_id)

    def deliver(self, job_id: str, events: Sequence[StoredEvent]) -> None:
        """Send the new ones of these events."""
        if self._early is not None:
            self._early.add(job_id)
        elif not self._is_elsewhere(job_id):
            super().deliver(job_id, events)

    def catch_up(self, job_id: str, last_seq: int = 0) -> None:
        """Read the table from the present position on, up to `last_seq` at least."""
        if self._early is not None:
            self._early.add(job_id)
        elif not self._is_elsewhere(job_id):
            super().catch_up(job_id, last_seq)

    def close(self) -> None:
        """Send no more."""
        super().close()
        self._broadcaster.unsubscribe(self, user_id=self._user_id)

    def _on_last_event(self, job_id: str) -> None:
        """Forget jobs that ended so long ago that the poll does not look at them any more."""
        now = time.monotonic()
        self._ended_at[job_id] = now
        keep_s = 3 * LOOK_BACK.total_seconds()
        while self._ended_at and now - next(iter(self._ended_at.values())) > keep_s:
            old = next(iter(self._ended_at))
            del self._ended_at[old]
            with contextlib.suppress(KeyError):
                del self._sent[old]
