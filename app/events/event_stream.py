"""HTTP streams of the events of a job: server-sent events or JSON Lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal, TypeAlias

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.events.broadcaster import Broadcaster
from app.events.job_queries import JobState
from app.events.open_streams import OpenStreams
from app.events.send_queue import NORMAL, RESTARTING, SendQueue, SendQueueClosed
from app.events.subscribers import JobSubscriber
from app.http.auth import current_principal
from app.runtime.shutdown import Shutdown

KEEP_ALIVE_S = 15

StreamType = Literal["text/event-stream", "application/x-ndjson"]
STREAM_TYPES: dict[str, StreamType] = {
    "text/event-stream": "text/event-stream",
    "application/x-ndjson": "application/x-ndjson",
}

Frames: TypeAlias = "list[tuple[int, str]]"
"""Events with their `seq`; an empty list for a keep-alive."""


class EventStreams:
    """Streams events to HTTP clients.

    A stream ends with the last event of the job, with the caller's token, or at the shutdown.
    """

    def __init__(
        self, broadcaster: Broadcaster, shutdown: Shutdown, open_streams: OpenStreams
    ) -> None:
        self._broadcaster = broadcaster
        self._shutdown = shutdown
        self._open_streams = open_streams

    def response(
        self,
        job_id: str,
        *,
        after: int,
        state: JobState,
        media_type: StreamType,
        headers: dict[str, str] | None = None,
    ) -> StreamingResponse:
        """Return a response that streams the events of a job after the event `after`."""
        send_queue = SendQueue()
        frames = self._frames(send_queue, job_id, after=after, state=state)
        body = _server_sent(frames) if media_type == "text/event-stream" else _lines(frames)
        return _WhileAuthorized(
            self._open_streams,
            send_queue,
            body,
            media_type=media_type,
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **(headers or {})},
        )

    async def _frames(
        self, send_queue: SendQueue, job_id: str, *, after: int, state: JobState
    ) -> AsyncIterator[Frames]:
        subscriber = JobSubscriber(
            self._broadcaster,
            send_queue,
            job_id,
            after=after,
            state=state,
            on_end=lambda: send_queue.close(NORMAL),
            on_deleted=lambda: send_queue.close(NORMAL),
        )
        ending = asyncio.create_task(self._shutdown.wait())
        ending.add_done_callback(lambda _: send_queue.close(RESTARTING))
        subscriber.start()
        try:
            while True:
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        frames = await send_queue.take()
                except TimeoutError:
                    frames = []
                yield frames
        except SendQueueClosed:
            return
        finally:
            subscriber.close()
            ending.cancel()


class _WhileAuthorized(StreamingResponse):
    """Response that ends when the token of its request is revoked or expires."""

    def __init__(
        self,
        open_streams: OpenStreams,
        send_queue: SendQueue,
        body: AsyncIterator[str],
        **options: Any,
    ) -> None:
        super().__init__(body, **options)
        self._open_streams = open_streams
        self._send_queue = send_queue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        principal = current_principal(Request(scope))
        with self._open_streams.opened(principal, self._send_queue):
            await super().__call__(scope, receive, send)


def wanted_stream(accept: str | None) -> StreamType | None:
    """Return the media type of the stream that an Accept header asks for, or None."""
    for part in (accept or "").split(","):
        media_type = part.partition(";")[0].strip().lower()
        if media_type in STREAM_TYPES:
            return STREAM_TYPES[media_type]
    return None


async def _server_sent(frames: AsyncIterator[Frames]) -> AsyncIterator[str]:
    async for batch in frames:
        if batch:
            yield "".join(_block(seq, text) for seq, text in batch)
        else:
            yield ": waiting\n\n"


def _block(seq: int, text: str) -> str:
    """Return a server-sent event; a client that reconnects resumes after the last one with an id.

    The first frames of a gap have no id, so that a client that missed the last one gets all again.
    """
    return f"id: {seq}\ndata: {text}\n\n" if seq else f"data: {text}\n\n"


async def _lines(frames: AsyncIterator[Frames]) -> AsyncIterator[str]:
    async for batch in frames:
        if batch:
            yield "".join(f"{text}\n" for _, text in batch)
