"""Message queue of a context: filled from any thread, awaited in any loop."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from typing import Any, Protocol, runtime_checkable

from processing_context._events.encoded_event import Encoded
from processing_context.wire.events import ProcessingMessage

_POLL_S = 0.01


@runtime_checkable
class MessageQueue(Protocol):
    """Interface of the message queue of a context."""

    def post(self, message: ProcessingMessage) -> None:
        """Add a message; thread-safe."""

    async def post_async(self, message: ProcessingMessage) -> None:
        """Add a message; wait for space in a bounded queue."""

    def has_messages(self) -> bool:
        """Return True if the queue holds a message."""

    def pop(self) -> ProcessingMessage:
        """Remove and return the oldest message; LookupError if the queue is empty."""

    async def pop_async(self) -> ProcessingMessage:
        """Wait for the next message, remove and return it."""


class LocalQueue:
    """Default queue of a context.

    Args:
        newest: Keep only this many messages, if the service's event log has all of them.
    """

    def __init__(self, newest: int | None = None) -> None:
        self._messages: deque[ProcessingMessage | Encoded] = deque(maxlen=newest)
        self._waiters: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._lock = threading.Lock()

    def post(self, message: ProcessingMessage | Encoded) -> None:
        """Add a message, whose model is created when it is removed; thread-safe."""
        with self._lock:
            self._messages.append(message)
            if self._waiters:
                self._wake_one()

    async def post_async(self, message: ProcessingMessage) -> None:
        """Add a message; the queue has no limit."""
        self.post(message)

    def has_messages(self) -> bool:
        """Return True if the queue holds a message."""
        return bool(self._messages)

    def pop(self) -> ProcessingMessage:
        """Remove and return the oldest message; LookupError if the queue is empty."""
        with self._lock:
            if not self._messages:
                raise LookupError("the message queue is empty")
            return _decoded(self._messages.popleft())

    async def pop_async(self) -> ProcessingMessage:
        """Wait for the next message; several callers are served in order."""
        loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                if self._messages:
                    return _decoded(self._messages.popleft())
                waiter = loop.create_future()
                self._waiters.append((loop, waiter))
            try:
                await waiter
            except BaseException:
                with self._lock:
                    self._leave(loop, waiter)
                raise

    def _leave(self, loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None]) -> None:
        if (loop, waiter) in self._waiters:
            self._waiters.remove((loop, waiter))
        elif self._messages:
            self._wake_one()  # it was woken for a message that it will not take

    def _wake_one(self) -> None:
        while self._waiters:
            loop, waiter = self._waiters.popleft()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, waiter)
                return


class GivenQueue:
    """Adapter for a `queue.Queue` or `asyncio.Queue` of the caller."""

    def __init__(self, given: queue.Queue[Any] | asyncio.Queue[Any]) -> None:
        self._queue = given
        self._loop = _running_loop()

    def post(self, message: ProcessingMessage) -> None:
        """Add a message; a full `queue.Queue` blocks a thread, and raises in the loop."""
        here = _running_loop()
        if isinstance(self._queue, queue.Queue):
            self._queue.put(message, block=here is None)
        elif self._loop is None or self._loop is here:
            self._queue.put_nowait(message)
        else:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, message)

    async def post_async(self, message: ProcessingMessage) -> None:
        """Add a message; wait for space."""
        if isinstance(self._queue, asyncio.Queue):
            await self._queue.put(message)
            return
        while self._queue.full():  # noqa: ASYNC110  # a queue.Queue cannot be awaited
            await asyncio.sleep(_POLL_S)
        self._queue.put_nowait(message)

    def has_messages(self) -> bool:
        """Return True if the queue holds a message."""
        return not self._queue.empty()

    def pop(self) -> ProcessingMessage:
        """Remove and return the oldest message; LookupError if the queue is empty."""
        try:
            message: ProcessingMessage = self._queue.get_nowait()
        except (queue.Empty, asyncio.QueueEmpty):
            raise LookupError("the message queue is empty") from None
        return message

    async def pop_async(self) -> ProcessingMessage:
        """Wait for the next message, remove and return it."""
        if isinstance(self._queue, asyncio.Queue):
            self._loop = self._loop or asyncio.get_running_loop()
            message: ProcessingMessage = await self._queue.get()
            return message
        while self._queue.empty():  # noqa: ASYNC110  # a queue.Queue cannot be awaited
            await asyncio.sleep(_POLL_S)
        return self.pop()


def as_message_queue(
    given: MessageQueue | queue.Queue[Any] | asyncio.Queue[Any] | None, *, newest: int | None
) -> MessageQueue:
    """Return the queue of a context: the given one, adapted if necessary, or a new one."""
    if given is None:
        return LocalQueue(newest)
    if isinstance(given, queue.Queue | asyncio.Queue):
        return GivenQueue(given)
    if not isinstance(given, MessageQueue):
        raise ValueError(
            f"message_queue= must be a queue.Queue or an asyncio.Queue, not {type(given).__name__}"
        )
    return given


def _decoded(message: ProcessingMessage | Encoded) -> ProcessingMessage:
    return message.message() if isinstance(message, Encoded) else message


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
