"""What waits to be sent to one connection: bounded, and with progress merged for a slow reader."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from app.events.log import Stored

MAX_WAITING_BYTES = 8 * 1024 * 1024
MERGE_ABOVE_BYTES = 256 * 1024
MERGED_BYTES = 64 * 1024
"""Where a merged event ends and the next begins: clients refuse frames that are too large."""
ROOM_BELOW_BYTES = 512 * 1024
TAKE_BYTES = 128 * 1024

NORMAL = 1000
CRASHED = 1011
RESTARTING = 1012
TOO_SLOW = 4408


Send = Callable[[str], Awaitable[None] | None]
"""Sends a frame: at once, or else it returns what is left to wait for."""


class OutboxClosed(Exception):  # an end, not an error
    """Nothing more will come; `code` is the WebSocket's close code."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code} {reason}")


class _Item:
    """One frame; several `node_progress` that follow each other may share it."""

    __slots__ = ("_chunks", "_first", "_last", "_size", "job_id", "seq", "text")

    def __init__(self, text: str, job_id: str | None = None, seq: int = 0) -> None:
        self.text = text
        self.job_id = job_id
        self.seq = seq
        self._first: dict[str, Any] | None = None
        self._last: dict[str, Any] = {}
        self._chunks: list[str] = []
        self._size = len(text)

    def absorb(self, event: Stored) -> int | None:
        """Take in the next event if it is progress of the same node; returns the bytes added."""
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


class Outbox:
    """Frames in order. A writer takes them; whoever puts is never held up, except by `room`.

    Args:
        send: Sends a frame that nothing is waiting before, so that the writer need not be woken
            for it: that costs as much as to send. Without it the writer takes all.
    """

    def __init__(self, send: Send | None = None) -> None:
        self._send = send
        self._rest: Awaitable[None] | None = None
        self._is_writer_idle = False
        self._items: deque[_Item] = deque()
        self._latest: dict[str, _Item] = {}
        self._bytes = 0
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._end: OutboxClosed | None = None
        self._ended = asyncio.Event()

    def put(self, text: str) -> None:
        """Add a control frame."""
        if not self._is_sent(text):
            self._add(_Item(text), len(text))

    def put_event(self, job_id: str, event: Stored) -> None:
        """Add an event; where much is waiting, progress is merged into the event right before it.

        Only into that one: a reader that stops in between and resumes after the last `seq` it saw
        would otherwise miss the chunks of those merged to a later place.
        """
        if self._bytes > MERGE_ABOVE_BYTES and event.is_progress:
            before = self._latest.get(job_id)
            if before is not None and before.seq == event.seq - 1 and _is_progress(before):
                added = before.absorb(event)
                if added is not None:
                    self._grow(added)
                    return
        if not self._is_sent(event.text):
            item = _Item(event.text, job_id, event.seq)
            self._latest[job_id] = item
            self._add(item, len(event.text))

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Let the writer send what waits (after a normal end), then stop."""
        if self._end is None:
            self._end = OutboxClosed(code, reason)
            if code != NORMAL:
                self._items.clear()
                self._latest.clear()
            self._filled.set()
            self._drained.set()
            self._ended.set()

    async def ended(self) -> None:
        """Return once it is closed, whether or not what waits has been taken."""
        await self._ended.wait()

    async def room(self) -> None:
        """Wait until little enough is waiting: a replay goes at its reader's pace.

        Raises:
            OutboxClosed: Nobody will read it.
        """
        await self._drained.wait()
        if self._end is not None:
            raise self._end

    async def take(self) -> list[tuple[int, str]]:
        """Return the next frames, each with its `seq` (0 for control frames).

        Raises:
            OutboxClosed: There are none, and none will come.
        """
        await self._until_filled()
        taken: list[tuple[int, str]] = []
        size = 0
        while self._items and size < TAKE_BYTES:
            item = self._items.popleft()
            if item.job_id is not None and self._latest.get(item.job_id) is item:
                del self._latest[item.job_id]
            taken.append(item.render())
            size += len(taken[-1][1])
        if not taken and self._end is not None:
            raise self._end
        self._bytes = max(0, self._bytes - size) if self._items else 0
        if not self._items and self._end is None:
            self._filled.clear()
        if self._bytes < ROOM_BELOW_BYTES:
            self._drained.set()
        return taken

    async def _until_filled(self) -> None:
        """Wait for frames or the end; finish what was begun to be sent before."""
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
            if not self._items and self._end is None:
                self._filled.clear()

    def _is_sent(self, text: str) -> bool:
        """Send a frame past the writer, if it is idle; whether that was done."""
        if self._send is None or not self._is_writer_idle or self._end is not None:
            return False
        self._rest = self._send(text)
        if self._rest is not None:
            self._is_writer_idle = False
            self._filled.set()
        return True

    def _add(self, item: _Item, size: int) -> None:
        if self._end is None:
            self._items.append(item)
            self._filled.set()
            self._grow(size)

    def _grow(self, size: int) -> None:
        self._bytes += size
        if self._bytes >= ROOM_BELOW_BYTES and self._end is None:
            self._drained.clear()
        if self._bytes > MAX_WAITING_BYTES:
            self.close(TOO_SLOW, "the reader is too slow")


def _is_progress(item: _Item) -> bool:
    return Stored(item.seq, item.text, is_end=False).is_progress
