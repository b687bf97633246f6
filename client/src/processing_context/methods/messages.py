"""The message queue and, in a job, the event log."""

from __future__ import annotations

from collections.abc import Callable

from processing_context._events.buffer import parse
from processing_context._events.encoded_event import Encoded
from processing_context._events.outbox import EventOutbox
from processing_context._events.queue import LocalQueue, MessageQueue
from processing_context.wire.events import ProcessingMessage


class MessageMethods:
    """What is told while a workflow runs."""

    outbox: EventOutbox | None
    _messages: MessageQueue

    def post_message(self, message: ProcessingMessage) -> None:
        """Put a message into the queue and, in a job, into the job's event log; any thread.

        Raises:
            ValueError: It is no message, or in a job larger than 64 KiB.
        """
        parsed = parse(message)
        if self.outbox is not None:
            self.outbox.post(parsed)
        self._messages.post(parsed)

    def _encoded_post(self) -> Callable[[Encoded], None]:
        """Return what does as `post_message` does, with events that are right and encoded."""
        outbox, queue = self.outbox, self._messages
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

    def has_messages(self) -> bool:
        """Whether the queue holds a message."""
        return self._messages.has_messages()

    def pop_message(self) -> ProcessingMessage:
        """Remove and return the oldest message.

        Raises:
            LookupError: The queue is empty.
        """
        return self._messages.pop()

    async def pop_message_async(self) -> ProcessingMessage:
        """Wait for the next message, remove and return it."""
        return await self._messages.pop_async()

    async def flush(self) -> None:
        """Wait until the service has stored every message posted so far."""
        if self.outbox is not None:
            await self.outbox.flush()
