"""A job's events as they come, over HTTP: server-sent events and lines of JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

from starlette.responses import StreamingResponse

from app.events.broadcaster import Hub
from app.events.send_queue import NORMAL, RESTARTING, Outbox, OutboxClosed
from app.events.subscribers import JobReader
from app.runtime.shutdown import Shutdown

KEEP_ALIVE_S = 15

StreamType = Literal["text/event-stream", "application/x-ndjson"]
STREAM_TYPES: dict[str, StreamType] = {
    "text/event-stream": "text/event-stream",
    "application/x-ndjson": "application/x-ndjson",
}


def wanted_stream(accept: str | None) -> StreamType | None:
    """Return the kind of stream that an Accept header asks for, if it asks for one."""
    for part in (accept or "").split(","):
        media_type = part.partition(";")[0].strip().lower()
        if media_type in STREAM_TYPES:
            return STREAM_TYPES[media_type]
    return None


async def _frames(
    hub: Hub, shutdown: Shutdown, job_id: str, *, after: int, last_seq: int, has_ended: bool
) -> AsyncIterator[list[tuple[int, str]]]:
    """Give events in bunches until the job's end; an empty bunch where nothing came for a while."""
    outbox = Outbox()
    reader = JobReader(
        hub,
        outbox,
        job_id,
        after=after,
        last_seq=last_seq,
        has_ended=has_ended,
        on_end=lambda: outbox.close(NORMAL),
        on_gone=lambda: outbox.close(NORMAL),
    )
    ending = asyncio.create_task(shutdown.wait())
    ending.add_done_callback(lambda _: outbox.close(RESTARTING))
    reader.start()
    try:
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    frames = await outbox.take()
            except TimeoutError:
                frames = []
            yield frames
    except OutboxClosed:
        return
    finally:
        reader.close()
        ending.cancel()


async def _server_sent(frames: AsyncIterator[list[tuple[int, str]]]) -> AsyncIterator[str]:
    async for bunch in frames:
        if bunch:
            yield "".join(f"id: {seq}\ndata: {text}\n\n" for seq, text in bunch)
        else:
            yield ": waiting\n\n"


async def _lines(frames: AsyncIterator[list[tuple[int, str]]]) -> AsyncIterator[str]:
    async for bunch in frames:
        if bunch:
            yield "".join(f"{text}\n" for _, text in bunch)


def event_stream(
    hub: Hub,
    shutdown: Shutdown,
    job_id: str,
    *,
    after: int,
    last_seq: int,
    has_ended: bool,
    media_type: StreamType,
    headers: dict[str, str] | None = None,
) -> StreamingResponse:
    """Return a response that ends after the job's last event, or with this replica."""
    frames = _frames(hub, shutdown, job_id, after=after, last_seq=last_seq, has_ended=has_ended)
    body = _server_sent(frames) if media_type == "text/event-stream" else _lines(frames)
    return StreamingResponse(
        body,
        media_type=media_type,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **(headers or {})},
    )
