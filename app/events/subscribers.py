"""Readers: a place in the log of a job, or of all jobs of a user, and the way from there to now.

A reader first registers with the hub, then reads the table up to its end, then takes what the hub
brings. What comes with a hole before it sends it back to the table. So nothing is missed and
nothing comes twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence

from app.database.errors import is_database_away
from app.events.broadcaster import LOOK_BACK, Hub
from app.events.log import PAGE_BYTES, PAGE_EVENTS, Stored
from app.events.send_queue import CRASHED, Outbox, OutboxClosed

logger = logging.getLogger(__name__)

RETRY_S = 0.5


class Reader:
    """What readers of one job and of all jobs share."""

    def __init__(self, hub: Hub, outbox: Outbox) -> None:
        self._hub = hub
        self._outbox = outbox
        self._seen: dict[str, int] = {}
        self._reading: dict[str, bool] = {}
        self._known: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    def position(self, job_id: str) -> int | None:
        """Return the last `seq` sent; None while it reads the table by itself."""
        return None if job_id in self._reading else self._seen.get(job_id, 0)

    def offer(self, job_id: str, events: Sequence[Stored]) -> None:
        """Send what is new of these, or look into the table where there is a hole before them."""
        if self._is_closed:
            return
        seen = self._seen.get(job_id, 0)
        if events[-1].seq <= seen:
            return
        if job_id in self._reading or events[0].seq > seen + 1:
            self.look(job_id, events[-1].seq)
        else:
            self._send(job_id, events)

    def look(self, job_id: str, last_seq: int = 0) -> None:
        """Read the table from the present place on, up to `last_seq` at least."""
        if self._is_closed:
            return
        self._reading[job_id] = True
        self._known[job_id] = max(last_seq, self._known.get(job_id, 0))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._read_all(), name=f"read-{job_id}")

    def close(self) -> None:
        """Want nothing more."""
        self._is_closed = True
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def gone(self, job_id: str) -> None:
        """The job was deleted."""

    def _send(self, job_id: str, events: Sequence[Stored]) -> None:
        seen = self._seen.get(job_id, 0)
        for event in events:
            if event.seq > seen:
                seen = event.seq
                self._seen[job_id] = seen
                self._outbox.put_event(job_id, event)
                if event.is_end:
                    self._ended(job_id)

    def _ended(self, job_id: str) -> None:
        """The job's last event has been sent."""

    def _caught_up(self, job_id: str) -> None:
        """All that the table holds has been sent."""

    async def _read_all(self) -> None:
        try:
            while self._reading and not self._is_closed:
                await self._read(next(iter(self._reading)))
        except OutboxClosed:
            self._is_closed = True
        except Exception:
            logger.exception("a reader failed")
            self._outbox.close(CRASHED, "internal error")

    async def _read(self, job_id: str) -> None:
        while self._reading[job_id] and not self._is_closed:
            await self._outbox.room()
            self._reading[job_id] = False
            seen, known = self._seen.get(job_id, 0), self._known[job_id]
            try:
                events = await self._hub.log.after(job_id, seen, known=known)
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
            self._caught_up(job_id)


class JobReader(Reader):
    """Reads the log of one job after `after`, to its end.

    `last_seq` and `has_ended` are the state of the job when it was looked up.
    """

    def __init__(
        self,
        hub: Hub,
        outbox: Outbox,
        job_id: str,
        *,
        after: int,
        last_seq: int,
        has_ended: bool,
        on_caught_up: Callable[[int], None] | None = None,
        on_end: Callable[[], None] | None = None,
        on_gone: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(hub, outbox)
        self.job_id = job_id
        self._seen[job_id] = after
        self._last_seq = last_seq
        self._on_caught_up = on_caught_up
        self._on_end = on_end
        self._on_gone = on_gone
        self._has_ended = has_ended and after >= last_seq

    @property
    def seen(self) -> int:
        """The last `seq` sent."""
        return self._seen[self.job_id]

    def start(self) -> None:
        """Begin to read."""
        self._hub.attach(self, job_id=self.job_id)
        self.look(self.job_id, self._last_seq)

    def close(self) -> None:
        """Want nothing more."""
        super().close()
        self._hub.detach(self, job_id=self.job_id)

    def gone(self, job_id: str) -> None:
        """Tell that the job was deleted, once what had been read of it is told."""
        if job_id not in self._reading and not self._is_closed:
            self.close()
            if self._on_gone is not None:
                self._on_gone()

    def _ended(self, job_id: str) -> None:
        self._has_ended = True
        if job_id not in self._reading:
            self._finish()

    def _caught_up(self, job_id: str) -> None:
        del job_id
        if self._on_caught_up is not None:
            self._on_caught_up(self.seen)
            self._on_caught_up = None
        if self._has_ended:
            self._finish()

    def _finish(self) -> None:
        self.close()
        if self._on_end is not None:
            self._on_end()


class UserReader(Reader):
    """Reads what happens to all jobs of a user from one moment on.

    Jobs that `is_elsewhere` names are left to another reader of the same connection.
    """

    def __init__(
        self, hub: Hub, outbox: Outbox, user_id: str, *, is_elsewhere: Callable[[str], bool]
    ) -> None:
        super().__init__(hub, outbox)
        self._user_id = user_id
        self._is_elsewhere = is_elsewhere
        self._ends: dict[str, float] = {}
        self._early: set[str] | None = set()

    def attach(self) -> None:
        """Note from now on which jobs have news; read once `start` tells where to begin."""
        self._hub.attach(self, user_id=self._user_id)

    def start(self, seen: Mapping[str, int]) -> None:
        """Begin after these places; a job that is not among them is new and read from its start."""
        early, self._early = self._early or set(), None
        self._seen.update(seen)
        for job_id in early:
            self.look(job_id)

    def resume(self, job_id: str, seen: int) -> None:
        """Go on with a job that another reader had until now."""
        self._seen[job_id] = max(seen, self._seen.get(job_id, 0))

    def position(self, job_id: str) -> int | None:
        """Return the last `seq` sent; None where it takes nothing now."""
        if self._early is not None or self._is_elsewhere(job_id):
            return None
        return super().position(job_id)

    def offer(self, job_id: str, events: Sequence[Stored]) -> None:
        """Send what is new of these."""
        if self._early is not None:
            self._early.add(job_id)
        elif not self._is_elsewhere(job_id):
            super().offer(job_id, events)

    def look(self, job_id: str, last_seq: int = 0) -> None:
        """Read the table from the present place on, up to `last_seq` at least."""
        if self._early is not None:
            self._early.add(job_id)
        elif not self._is_elsewhere(job_id):
            super().look(job_id, last_seq)

    def close(self) -> None:
        """Want nothing more."""
        super().close()
        self._hub.detach(self, user_id=self._user_id)

    def _ended(self, job_id: str) -> None:
        """Forget jobs whose end is so long ago that nothing speaks of them any more."""
        now = time.monotonic()
        self._ends[job_id] = now
        keep_s = 3 * LOOK_BACK.total_seconds()
        while self._ends and now - next(iter(self._ends.values())) > keep_s:
            old = next(iter(self._ends))
            del self._ends[old]
            with contextlib.suppress(KeyError):
                del self._seen[old]
