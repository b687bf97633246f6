"""Bounded queue of frames for one connection, which merges progress events for a slow reader."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from app.events.envelope import StoredEvent

MAX_QUEUED_BYTES = 8 * 1024 * 1024
MERGE_ABOVE_BYTES = 256 * 1024
MERGED_BYTES = 64 * 1024
"""Maximum size of a merged event; clients reject frames that are too large."""
DRAINED_BELOW_BYTES = 512 * 1024
TAKE_BYTES = 128 * 1024

NORMAL = 1000
CRASHED = 1011
RESTARTING = 1012
UNAUTHORIZED = 4401
TOO_SLOW = 4408

Send = Callable[[str], Awaitable[None] | None]
"""Function that sends a frame and returns None, or an awaitable that completes the sending."""


class SendQueueClosed(Exception):  # signals an end, not an error
    """The queue is closed and empty; `code` is the close code of the WebSocket."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code} {reason}")


class _Frame:
    """A frame, into which consecutive `node_progress` events can be merged."""

    __slots__ = ("_chunks", "_first", "_last", "_size", "job_id", "seq", "text")

    def __init__(self, text: str, job_id: str | None = None, seq: int = 0) -> None:
        self.text = text
        self.job_id = job_id
        self.seq = seq
        self._first: dict[str, Any] | None = None
        self._last: dict[str, Any] = {}
        self._chunks: list[str] = []
        self._size = len(text)

    def merge(self, event: StoredEvent) -> int | None:
        """Merge the next event if it is progress of the same node; return the bytes added."""
        if self._size + len(event.text) > MERGED_BYTES:
            return None
        first = self._first or orjson.loads(self.text)
        following = orjson.loads(event.text)
        if following["node_id"] != first["node_id"]:
            return None
        if self._first is None:
            self._first = first
            self._chunks = [first.get("chunk", "")]
        chunk = following.pop("chunk", "")
        self._chunks.append(chunk)
        self._last = following
        self.seq = event.seq
        self._size += len(chunk)
        return len(chunk)

    def render(self) -> tuple[int, str]:
        """Return the last `seq` and the text to send."""
        if self._first is None:
            return self.seq, self.text
        merged = {
            **self._last,
            "chunk": "".join(self._chunks),
            "from_seq": self._first.get("from_seq") or self._first["seq"],
        }
        return self.seq, orjson.dumps(merged).decode()


class SendQueue:
    """Queue between producers, which never wait in `put`, and the writer of a connection.

    Args:
        send: Sends a frame directly if the queue is empty and the writer idle: waking the writer
            costs as much as sending. Without it, all frames go through the writer.
    """

    def __init__(self, send: Send | None = None) -> None:
        self._send = send
        self._rest: Awaitable[None] | None = None
        self._is_writer_idle = False
        self._frames: deque[_Frame] = deque()
        self._latest: dict[str, _Frame] = {}
        self._bytes = 0
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._closed: SendQueueClosed | None = None
        self._closing = asyncio.Event()

    def put(self, text: str) -> None:
        """Add a control frame."""
        if not self._send_now(text):
            self._add(_Frame(text), len(text))

    def put_event(self, job_id: str, event: StoredEvent) -> None:
        """Add an event; in a long queue, progress is merged into the event directly before it.

        Only consecutive events are merged: otherwise a reader that disconnects and resumes after
        the last `seq` it received would miss the chunks that were merged to a later position.
        """
        if self._bytes > MERGE_ABOVE_BYTES and event.is_progress:
            before = self._latest.get(job_id)
            if before is not None and before.seq == event.seq - 1 and _is_progress(before):
                added = before.merge(event)
                if added is not None:
                    self._grow(added)
                    return
        *others, text = event.frames
        for other in others:
            self.put(other)
        if not self._send_now(text):
            frame = _Frame(text, job_id, event.seq)
            self._latest[job_id] = frame
            self._add(frame, len(text))

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Close the queue; with the code NORMAL, the writer still sends the queued frames."""
        if self._closed is None:
            self._closed = SendQueueClosed(code, reason)
            if code != NORMAL:
                self._frames.clear()
                self._latest.clear()
            self._filled.set()
            self._drained.set()
            self._closing.set()

    async def wait_closed(self) -> None:
        """Wait until the queue is closed; it need not be empty."""
        await self._closing.wait()

    async def drain(self) -> None:
        """Wait until the queue is short, so that a replay is no faster than its reader.

        Raises:
            SendQueueClosed: The queue is closed.
        """
        await self._drained.wait()
        if self._closed is not None:
            raise self._closed

    async def take(self) -> list[tuple[int, str]]:
        """Return the next frames, each with its `seq` (0 for control frames).

        Raises:
            SendQueueClosed: The queue is closed and empty.
        """
        await self._wait_filled()
        taken: list[tuple[int, str]] = []
        size = 0
        while self._frames and size < TAKE_BYTES:
            frame = self._frames.popleft()
            if frame.job_id is not None and self._latest.get(frame.job_id) is frame:
                del self._latest[frame.job_id]
            taken.append(frame.render())
            size += len(taken[-1][1])
        if not taken and self._closed is not None:
            raise self._closed
        self._bytes = max(0, self._bytes - size) if self._frames else 0
        if not self._frames and self._closed is None:
            self._filled.clear()
        if self._bytes < DRAINED_BELOW_BYTES:
            self._drained.set()
        return taken

    async def _wait_filled(self) -> None:
        """Wait for frames or the close; complete a frame that `send` has begun first."""
        while True:
            self._is_writer_idle = not self._filled.is_set()
            try:
                await self._filled.wait()
            finally:
                self._is_writer_idle = False
            if self._rest is None:
                return
            rest, self._rest = self._rest, None
            await rest
            if not self._frames and self._closed is None:
                self._filled.clear()

    def _send_now(self, text: str) -> bool:
        """Send a frame directly if the writer is idle; return True if it was sent."""
        if self._send is None or not self._is_writer_idle or self._closed is not None:
            return False
        self._rest = self._send(text)
        if self._rest is not None:
            self._is_writer_idle = False
            self._filled.set()
        return True

    def _add(self, frame: _Frame, size: int) -> None:
        if self._closed is None:
            self._frames.append(frame)
            self._filled.set()
            self._grow(size)

    def _grow(self, size: int) -> None:
        self._bytes += size
        if self._bytes >= DRAINED_BELOW_BYTES and self._closed is None:
            self._drained.clear()
        if self._bytes > MAX_QUEUED_BYTES:
            self.close(TOO_SLOW, "the reader is too slow")


def _is_progress(frame: _Frame) -> bool:
    return StoredEvent(frame.seq, frame.text, is_end=False).is_progress
