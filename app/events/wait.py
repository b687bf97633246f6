"""Waiting for news of a job, without reading them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from app.events.broadcaster import Hub
from app.events.log import Stored
from app.runtime.shutdown import Shutdown


class Watch:
    """Knows when a job has a new event, or with `until_end` when it has its last one.

    It is attached before the state is read that the wait depends on, so that nothing slips between.
    """

    def __init__(self, hub: Hub, job_id: str, *, until_end: bool = False) -> None:
        self._hub = hub
        self._job_id = job_id
        self._seen = 0
        self._until_end = until_end
        self._happened = asyncio.Event()

    def __enter__(self) -> Watch:
        """Begin to watch."""
        self._hub.attach(self, job_id=self._job_id)
        return self

    def __exit__(self, *_: object) -> None:
        """Watch no more."""
        self._hub.detach(self, job_id=self._job_id)

    def start(self, seen: int) -> None:
        """Say what the state that was read holds, so that the hub brings the events after it."""
        self._seen = max(seen, self._seen)

    def position(self, job_id: str) -> int:
        """Return the last `seq` it knows of."""
        del job_id
        return self._seen

    def offer(self, job_id: str, events: Sequence[Stored]) -> None:
        """Take note."""
        del job_id
        self._seen = max(self._seen, events[-1].seq)
        if not self._until_end or any(event.is_end for event in events):
            self._happened.set()

    def look(self, job_id: str, last_seq: int = 0) -> None:
        """Take note that what it waits for is not to be had any more."""
        del job_id, last_seq
        self._happened.set()

    def gone(self, job_id: str) -> None:
        """The job was deleted: nothing more will happen."""
        del job_id
        self._happened.set()

    async def wait(self, seconds: float, shutdown: Shutdown) -> None:
        """Return when it has happened, the time is over, or the replica is going."""
        await first_of(self._happened.wait(), shutdown.wait(), seconds=seconds)


async def first_of(*things: Awaitable[Any], seconds: float) -> None:
    """Return when one of these is done or the time is over; the others are cancelled."""
    tasks = [asyncio.ensure_future(thing) for thing in things]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
