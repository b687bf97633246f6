"""The head and the body of a response leave in one write, and nothing stays behind."""

from __future__ import annotations

import asyncio

from app.serving.writes import JoinedWrites


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True


async def test_a_head_leaves_with_its_body() -> None:
    wire = Wire()
    joined = JoinedWrites(wire, asyncio.get_running_loop())
    joined.write(b"head ")
    assert wire.written == []
    joined.write(b"body")
    assert wire.written == [b"head body"]
    await asyncio.sleep(0)
    assert wire.written == [b"head body"]


async def test_a_head_alone_waits_for_one_turn_of_the_loop() -> None:
    wire = Wire()
    joined = JoinedWrites(wire, asyncio.get_running_loop())
    joined.write(b"head")
    await asyncio.sleep(0)
    assert wire.written == [b"head"]
    joined.write(b"chunk")
    await asyncio.sleep(0)
    assert wire.written == [b"head", b"chunk"]


async def test_large_writes_are_not_held_and_keep_their_order() -> None:
    wire = Wire()
    joined = JoinedWrites(wire, asyncio.get_running_loop())
    large = b"x" * 100_000
    joined.write(large)
    assert wire.written == [large]
    joined.write(b"small")
    joined.write(large)
    assert wire.written == [large, b"small" + large]


async def test_what_is_held_is_written_before_the_end_and_never_after() -> None:
    wire = Wire()
    joined = JoinedWrites(wire, asyncio.get_running_loop())
    joined.write(b"last words")
    joined.close()
    joined.write(b"too late")
    await asyncio.sleep(0)
    assert wire.written == [b"last words"]
    assert wire.is_closed
