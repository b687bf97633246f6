from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.events import send_queue as module
from app.events.envelope import StoredEvent, add_envelope, encode
from app.events.send_queue import NORMAL, TOO_SLOW, SendQueue, SendQueueClosed
from app.sockets.fast_send import start_eagerly


def stored(seq: int, event: dict[str, Any]) -> StoredEvent:
    time = datetime(2026, 1, 1, tzinfo=UTC)
    [placed] = add_envelope(
        [encode(event)], job_id="j", after=seq - 1, attempt=1, time=time, traceparent=None
    )
    return placed


def progress(seq: int, node_id: str, chunk: str) -> StoredEvent:
    return stored(
        seq,
        {"type": "node_progress", "node_id": node_id, "progress": seq, "total": 9, "chunk": chunk},
    )


FILLER = "f" * (module.MERGE_ABOVE_BYTES + 1)


async def taken(queue: SendQueue) -> list[dict[str, Any]]:
    queue.close(NORMAL)
    frames: list[dict[str, Any]] = []
    try:
        while True:
            frames += [json.loads(text) for _, text in await queue.take() if text != FILLER]
    except SendQueueClosed:
        return frames


async def test_nothing_is_merged_for_a_reader_that_keeps_up() -> None:
    queue = SendQueue()
    for seq in range(1, 6):
        queue.put_event("j", progress(seq, "a", "x"))
    assert [frame["seq"] for frame in await taken(queue)] == [1, 2, 3, 4, 5]


async def test_merged_progress_has_the_last_values_and_all_chunks() -> None:
    queue = SendQueue()
    queue.put(FILLER)
    for seq in range(1, 6):
        queue.put_event("j", progress(seq, "a", str(seq)))
    [frame] = await taken(queue)
    assert (frame["from_seq"], frame["seq"], frame["progress"]) == (1, 5, 5)
    assert frame["chunk"] == "12345"


@given(
    kinds=st.lists(st.sampled_from(["a", "b", "log", "end of the wait"]), max_size=40),
    size=st.sampled_from([1, 9_000]),
)
def test_whatever_is_merged_no_place_and_no_chunk_is_missing(kinds: list[str], size: int) -> None:
    """A reader may stop after any frame and resume after its `seq`."""

    async def run() -> None:
        queue = SendQueue()
        queue.put(FILLER)
        sent: dict[str, str] = {"a": "", "b": ""}
        for seq, kind in enumerate(kinds, 1):
            if kind in sent:
                chunk = chr(ord("A") + seq % 26) * size
                sent[kind] += chunk
                queue.put_event("j", progress(seq, kind, chunk))
            else:
                event = {"type": "log", "level": "info", "message": kind}
                queue.put_event("j", stored(seq, event))
        last = 0
        got = {"a": "", "b": ""}
        for frame in await taken(queue):
            assert frame.get("from_seq", frame["seq"]) == last + 1
            last = frame["seq"]
            if frame["type"] == "node_progress":
                got[frame["node_id"]] += frame["chunk"]
                assert len(frame["chunk"]) <= module.MERGED_BYTES
        assert (last, got) == (len(kinds), sent)

    asyncio.run(run())


async def test_more_than_8_mib_waiting_ends_it() -> None:
    queue = SendQueue()
    for seq in range(1, 200):
        queue.put_event("j", stored(seq, {"type": "log", "message": "x" * 60_000}))
    with pytest.raises(SendQueueClosed) as end:
        await queue.take()
    assert end.value.code == TOO_SLOW


async def test_a_replay_waits_until_there_is_room() -> None:
    queue = SendQueue()
    queue.put("x" * module.DRAINED_BELOW_BYTES)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await queue.drain()
    await queue.take()
    async with asyncio.timeout(60):
        await queue.drain()


class Peer:
    """Receiver of sent frames, which can block the next frame."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.takes = asyncio.Event()
        self.takes.set()
        self.queue = SendQueue(lambda text: start_eagerly(self.send(text)))
        self.writer = asyncio.create_task(self._write())

    async def send(self, text: str) -> None:
        await self.takes.wait()
        self.got.append(text)

    async def idle(self) -> None:
        """Let the writer go as far as it can."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def _write(self) -> None:
        while True:
            for _, text in await self.queue.take():
                await self.send(text)


async def test_a_frame_that_nothing_waits_before_is_sent_at_once() -> None:
    peer = Peer()
    await peer.idle()
    for seq in range(1, 4):
        peer.queue.put_event("j", progress(seq, "a", "x"))
    assert [json.loads(text)["seq"] for text in peer.got] == [1, 2, 3]
    peer.writer.cancel()


async def test_nothing_overtakes_a_frame_that_could_not_be_sent_at_once() -> None:
    peer = Peer()
    await peer.idle()
    peer.takes.clear()
    for text in ("a", "b", "c"):
        peer.queue.put(text)
        await peer.idle()
    assert peer.got == []
    peer.takes.set()
    peer.queue.put("d")
    await peer.idle()
    assert peer.got == ["a", "b", "c", "d"]
    peer.queue.put("e")
    assert peer.got[-1] == "e"
    peer.queue.close(NORMAL)
    with pytest.raises(SendQueueClosed):
        await peer.writer


async def test_an_end_that_comes_while_a_frame_waits_is_told_after_it() -> None:
    peer = Peer()
    await peer.idle()
    peer.takes.clear()
    peer.queue.put("begun")
    peer.queue.put("dropped")
    peer.queue.close(TOO_SLOW)
    await peer.idle()
    assert not peer.writer.done()
    peer.takes.set()
    with pytest.raises(SendQueueClosed) as end:
        await peer.writer
    assert (peer.got, end.value.code) == (["begun"], TOO_SLOW)


async def test_what_fails_at_once_fails_in_the_writer() -> None:
    peer = Peer()
    await peer.idle()
    peer.takes = None  # type: ignore[assignment]
    peer.queue.put("to nobody")
    with pytest.raises(AttributeError):
        await peer.writer
