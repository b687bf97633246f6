"""Waiting for new events of a job without reading them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from app.events.broadcaster import Broadcaster
from app.events.envelope import StoredEvent
from app.runtime.shutdown import Shutdown


class JobWatch:
    """Subscriber that waits for a new event of a job, or for the last one.

    It must be entered before the state of the job is read, so that no event in between is missed.

    Args:
        broadcaster: The broadcaster of the replica.
        job_id: The job.
        until_end: Whether to wait for the last event instead of any event.
    """

    def __init__(self, broadcaster: Broadcaster, job_id: str, *, until_end: bool = False) -> None:
        self._broadcaster = broadcaster
        self._job_id = job_id
        self._last_seq = 0
        self._until_end = until_end
        self._happened = asyncio.Event()

    def __enter__(self) -> JobWatch:
        """Subscribe."""
        self._broadcaster.subscribe(self, job_id=self._job_id)
        return self

    def __exit__(self, *_: object) -> None:
        """Unsubscribe."""
        self._broadcaster.unsubscribe(self, job_id=self._job_id)

    def start(self, last_seq: int) -> None:
        """Set the last `seq` of the state that was read; only later events end the wait."""
        self._last_seq = max(last_seq, self._last_seq)

    def position(self, job_id: str) -> int:
        """Return the last known `seq`."""
        del job_id
        return self._last_seq

    def deliver(self, job_id: str, events: Sequence[StoredEvent]) -> None:
        """End the wait if one of the events is new (or the last one, with `until_end`)."""
        del job_id
        self._last_seq = max(self._last_seq, events[-1].seq)
        if not self._until_end or any(event.is_end for event in events):
            self._happened.set()

    def catch_up(self, job_id: str, last_seq: int = 0) -> None:
        """End the wait, since the table has new events."""
        del job_id, last_seq
        self._happened.set()

    def job_deleted(self, job_id: str) -> None:
        """End the wait, since there will be no event."""
        del job_id
        self._happened.set()

    async def wait(self, seconds: float, shutdown: Shutdown) -> None:
        """Wait for the event, the timeout, or the shutdown of the replica."""
        await first_of(self._happened.wait(), shutdown.wait(), seconds=seconds)


async def first_of(*awaitables: Awaitable[Any], seconds: float) -> None:
    """Wait until one of the awaitables is done or the timeout is over; cancel the others."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
