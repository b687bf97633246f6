"""Outbox of a job's events: filled from any thread, sent in order in the background."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Protocol

from processing_context._events.buffer import Pending, numbered
from processing_context._events.encoded_event import Encoded
from processing_context._transport.api import Api
from processing_context._transport.retry import PATIENCE_S
from processing_context.errors import (
    AuthenticationError,
    ConflictError,
    ContextError,
    NotFoundError,
)
from processing_context.wire.events import EventsAccepted, ProcessingMessage

FEW_EVENTS = 100
GATHER_S = 0.003
"""Seconds that up to `FEW_EVENTS` events wait for more, so that a short job sends one request
instead of one for each node.
"""

_LOST_CODES = frozenset({"lease_lost", "job_ended"})


class Relay(Protocol):
    """Sends the events of several jobs in one request."""

    async def send(self, job_id: str, token: str, events: bytes) -> EventsAccepted | None:
        """Send a batch, `{"events": […]}`; return None if the relay cannot send it."""


class EventOutbox:
    """Outbox of the events of one attempt of a job.

    The buffer holds 10,000 events or 16 MiB, and besides 1,000 log lines of each node. When it is
    full, `post` blocks. It does not block in the thread of the event loop, where the sender runs: a
    coroutine that posts many events awaits `drain()` between them, as with an
    `asyncio.StreamWriter`. Progress of a node is merged in the buffer.

    Args:
        api: API client with the token of the lease.
        job_id: The job.
        patience_s: How long requests are retried while the service is unavailable.

    Attributes:
        on_cancel: Called once, in the loop's thread, when cancellation of the job was requested.
        on_lost: Called once, in the loop's thread, with the error after which nothing more can be
            sent: the lease is lost, the job has ended, or the service refuses the events.
        error: That error; None while events can be sent.
        relay: Sends the batches, if set.
    """

    def __init__(self, api: Api, job_id: str, *, patience_s: float = PATIENCE_S) -> None:
        self.on_cancel: Callable[[], object] | None = None
        self.on_lost: Callable[[ContextError], object] | None = None
        self.error: ContextError | None = None
        self.relay: Relay | None = None
        self._api = api
        self._job_id = job_id
        self._path = f"/v1/jobs/{job_id}/events"
        self._patience_s = patience_s
        self._pending = Pending()
        self._lock = threading.RLock()
        self._room = threading.Condition(self._lock)
        self._next_seq = 1
        self._was_cancel_reported = False
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread: int | None = None
        self._sender: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._is_due = asyncio.Event()
        self._sent = asyncio.Condition()
        self._in_flight = 0

    def start(self) -> None:
        """Start the sender in the running loop; no effect if it runs."""
        if self._sender is None:
            self._loop = asyncio.get_running_loop()
            self._loop_thread = threading.get_ident()
            self._sender = asyncio.create_task(self._send_all(), name="event-outbox")
            if self._pending:
                self._wake.set()

    def post(self, event: ProcessingMessage | Encoded) -> None:
        """Add an event; thread-safe.

        Raises:
            ValueError: The event is larger than 64 KiB.
            ContextError: Nothing more can be sent.
        """
        if threading.get_ident() == self._loop_thread:
            with self._lock:
                self._check()
                self._pending.add(event)
            self._wake.set()
            return
        node_id, is_log = getattr(event, "node_id", None), event.type == "log"
        with self._room:
            if self._sender is not None:
                self._room.wait_for(
                    lambda: self._pending.has_room(node_id, is_log=is_log) or self._cannot_send()
                )
            self._check()
            self._pending.add(event)
        if self._loop is not None and not self._wake.is_set():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def drain(self, node_id: str | None = None) -> None:
        """Wait until the buffer is below its limit.

        Args:
            node_id: Wait for the limit of the log lines of a node instead.

        Raises:
            ContextError: Nothing more can be sent.
        """
        self.start()
        await self._wait_until(lambda: self._pending.has_room(node_id, is_log=node_id is not None))
        self._check()

    async def join_lines(self, node_id: str) -> None:
        """Let later events follow the log lines of a node; wait while there are many of them."""

        def join() -> bool:
            with self._lock:
                return self._pending.join_lane(node_id)

        if not join():
            await self._wait_until(join)

    async def _wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait for a condition, which sent events may change, or until nothing can be sent."""
        async with self._sent:
            await self._sent.wait_for(lambda: holds() or self._cannot_send())

    async def first_stored(self) -> None:
        """Wait until the service has stored the first event, or nothing more can be sent."""
        async with self._sent:
            await self._sent.wait_for(lambda: self._next_seq > 1 or self._cannot_send())

    async def flush(self) -> None:
        """Wait until the service has stored every event posted so far.

        Raises:
            ContextError: Nothing more can be sent.
        """
        self.start()
        async with self._sent:
            last = self._next_seq + self._in_flight + len(self._pending)
            self._is_due.set()
            await self._sent.wait_for(lambda: self._next_seq >= last or self._cannot_send())
        if self._next_seq < last:
            self._check()

    async def aclose(self, *, flush: bool = True) -> None:
        """Send the remaining events unless `flush` is false, and stop."""
        try:
            if flush and not self._cannot_send():
                await self.flush()
        finally:
            self._end(None)
            if self._sender is not None:
                self._sender.cancel()
                await asyncio.gather(self._sender, return_exceptions=True)
            async with self._sent:
                self._sent.notify_all()

    def _cannot_send(self) -> bool:
        return self._is_closed or self.error is not None

    def _check(self) -> None:
        if self.error is not None:
            raise self.error
        if self._is_closed:
            raise ContextError("the context is closed: its events can no longer be sent")

    async def _send_all(self) -> None:
        while not self._cannot_send():
            await self._wake.wait()
            if len(self._pending) < FEW_EVENTS:
                await self._gather()
            self._wake.clear()
            with self._room:
                batch = self._pending.take_batch()
                self._in_flight = len(batch)
                if self._pending:
                    self._wake.set()
                self._room.notify_all()
            if not batch:
                continue
            try:
                reply = await self._send(batch)
            except ContextError as exc:
                self._end(exc)
            else:
                self._next_seq += len(batch)
                self._in_flight = 0
                self._report_cancel(reply)
            async with self._sent:
                self._sent.notify_all()

    async def _gather(self) -> None:
        """Wait briefly for more events, unless `flush` waits for those that are there."""
        due = asyncio.get_running_loop().call_later(GATHER_S, self._is_due.set)
        await self._is_due.wait()
        due.cancel()
        self._is_due.clear()

    async def _send(self, batch: list[bytes]) -> EventsAccepted:
        body = numbered(batch, self._next_seq)
        if self.relay is not None:
            reply = await self.relay.send(self._job_id, self._api.token or "", body)
            if reply is not None:
                return reply
        answered = await self._api.request(
            "POST",
            self._path,
            content=body,
            is_json=True,
            is_hot=True,
            patience_s=self._patience_s,
        )
        return EventsAccepted.model_validate_json(answered.body)

    def _report_cancel(self, reply: EventsAccepted) -> None:
        if reply.cancel_requested and not self._was_cancel_reported:
            self._was_cancel_reported = True
            if self.on_cancel is not None:
                self.on_cancel()

    def _end(self, error: ContextError | None) -> None:
        with self._room:
            self._is_closed = self._is_closed or error is None
            self.error = self.error or error
            self._room.notify_all()
        if error is not None and self.on_lost is not None:
            self.on_lost(error)


def is_lost(error: ContextError) -> bool:
    """Return True if the error means that the worker no longer holds the lease."""
    if isinstance(error, ConflictError):
        return error.code in _LOST_CODES
    return isinstance(error, AuthenticationError | NotFoundError)
