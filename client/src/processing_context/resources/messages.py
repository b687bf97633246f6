"""Messages of a run: the queue of the context and, in a job, the job's event log."""

from __future__ import annotations

from collections.abc import Callable

from processing_context._events.buffer import parse
from processing_context._events.encoded_event import Encoded
from processing_context._events.outbox import EventOutbox
from processing_context._events.queue import LocalQueue
from processing_context.resources.resource import Resource
from processing_context.wire.events import ProcessingMessage


class MessageMethods(Resource):
    """Methods that post and read messages."""

    outbox: EventOutbox | None

    def post_message(self, message: ProcessingMessage) -> None:
        """Add a message to the queue and, in a job, to the job's event log; thread-safe.

        Raises:
            ValueError: The message is invalid or, in a job, larger than 64 KiB.
        """
        parsed = parse(message)
        if self.outbox is not None:
            self.outbox.post(parsed)
        self._core.messages.post(parsed)

    def has_messages(self) -> bool:
        """Return True if the queue holds a message."""
        return self._core.messages.has_messages()

    def pop_message(self) -> ProcessingMessage:
        """Remove and return the oldest message.

        Raises:
            LookupError: The queue is empty.
        """
        return self._core.messages.pop()

    async def pop_message_async(self) -> ProcessingMessage:
        """Wait for the next message, remove and return it."""
        return await self._core.messages.pop_async()

    async def flush(self) -> None:
        """Wait until the service has stored every message posted so far."""
        if self.outbox is not None:
            await self.outbox.flush()

    def _encoded_post(self) -> Callable[[Encoded], None]:
        """Return a function like `post_message` for events that are valid and encoded already."""
        outbox, queue = self.outbox, self._core.messages
        keep: Callable[[Encoded], None]
        if isinstance(queue, LocalQueue):
            keep = queue.post
        else:
            keep = lambda event: queue.post(event.message())  # noqa: E731  # one of two
        if outbox is None:
            return keep

        def post(event: Encoded) -> None:
            outbox.post(event)
            keep(event)

        return post
