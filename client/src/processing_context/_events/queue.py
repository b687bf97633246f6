"""The message queue of a context: posted to from any thread, waited for in any loop."""

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
    """What a context needs of its queue."""

    def post(self, message: ProcessingMessage) -> None:
        """Add a message; any thread."""

    async def post_async(self, message: ProcessingMessage) -> None:
        """Add a message, after waiting for room where there is a bound."""

    def has_messages(self) -> bool:
        """Whether `pop` would return one."""

    def pop(self) -> ProcessingMessage:
        """Remove and return the oldest; LookupError if there is none."""

    async def pop_async(self) -> ProcessingMessage:
        """Wait for the next one."""


class LocalQueue:
    """The queue of a context that was not given one.

    Args:
        newest: Keep only so many, for where the service's event log holds all of them anyway.
    """

    def __init__(self, newest: int | None = None) -> None:
        self._messages: deque[ProcessingMessage | Encoded] = deque(maxlen=newest)
        self._waiters: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._lock = threading.Lock()

    def post(self, message: ProcessingMessage | Encoded) -> None:
        """Add a message, which may be made only when it is taken; any thread."""
        with self._lock:
            self._messages.append(message)
            if self._waiters:
                self._wake_one()

    async def post_async(self, message: ProcessingMessage) -> None:
        """Add a message; there is always room."""
        self.post(message)

    def has_messages(self) -> bool:
        """Whether `pop` would return one."""
        return bool(self._messages)

    def pop(self) -> ProcessingMessage:
        """Remove and return the oldest."""
        with self._lock:
            if not self._messages:
                raise LookupError("there is no message in the queue")
            return _made(self._messages.popleft())

    async def pop_async(self) -> ProcessingMessage:
        """Wait for the next one; several that wait are served in turn."""
        loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                if self._messages:
                    return _made(self._messages.popleft())
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
    """A `queue.Queue` or `asyncio.Queue` of the caller's."""

    def __init__(self, given: queue.Queue[Any] | asyncio.Queue[Any]) -> None:
        self._queue = given
        self._loop = _running_loop()

    def post(self, message: ProcessingMessage) -> None:
        """Add a message; a full `queue.Queue` delays a thread, and raises on the loop."""
        here = _running_loop()
        if isinstance(self._queue, queue.Queue):
            self._queue.put(message, block=here is None)
        elif self._loop is None or self._loop is here:
            self._queue.put_nowait(message)
        else:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, message)

    async def post_async(self, message: ProcessingMessage) -> None:
        """Add a message, after waiting for room."""
        if isinstance(self._queue, asyncio.Queue):
            await self._queue.put(message)
            return
        while self._queue.full():  # noqa: ASYNC110  # a queue.Queue can only be asked
            await asyncio.sleep(_POLL_S)
        self._queue.put_nowait(message)

    def has_messages(self) -> bool:
        """Whether `pop` would return one."""
        return not self._queue.empty()

    def pop(self) -> ProcessingMessage:
        """Remove and return the oldest."""
        try:
            message: ProcessingMessage = self._queue.get_nowait()
        except (queue.Empty, asyncio.QueueEmpty):
            raise LookupError("there is no message in the queue") from None
        return message

    async def pop_async(self) -> ProcessingMessage:
        """Wait for the next one."""
        if isinstance(self._queue, asyncio.Queue):
            self._loop = self._loop or asyncio.get_running_loop()
            message: ProcessingMessage = await self._queue.get()
            return message
        while self._queue.empty():  # noqa: ASYNC110  # a queue.Queue can only be asked
            await asyncio.sleep(_POLL_S)
        return self.pop()


def as_message_queue(
    given: MessageQueue | queue.Queue[Any] | asyncio.Queue[Any] | None, *, newest: int | None
) -> MessageQueue:
    """Return the queue of a context."""
    if given is None:
        return LocalQueue(newest)
    if isinstance(given, queue.Queue | asyncio.Queue):
        return GivenQueue(given)
    if not isinstance(given, MessageQueue):
        raise ValueError(f"message_queue cannot be a {type(given).__name__}")
    return given


def _made(message: ProcessingMessage | Encoded) -> ProcessingMessage:
    return message.message() if isinstance(message, Encoded) else message


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
