"""Tests of batches of concurrent requests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from processing_context._transport.batching import Gathering
from tests.support.loop import turns
from tests.support.services import eventually


class Batches:
    """Fake sender that records each batch, and answers when `go_on` is set."""

    def __init__(self) -> None:
        self.sent: list[list[str]] = []
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    async def send(self, questions: Sequence[str]) -> list[str]:
        self.sent.append(list(questions))
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return [question.upper() for question in questions]


async def test_what_is_asked_at_once_goes_at_once_and_together() -> None:
    batches = Batches()
    gathering = Gathering(batches.send, most=10)
    asking = asyncio.gather(*(gathering.ask(letter) for letter in "abc"))
    await turns()
    assert batches.sent == [["a", "b", "c"]]
    batches.go_on.set()
    assert await asking == ["A", "B", "C"]


async def test_one_alone_does_not_wait() -> None:
    batches = Batches()
    batches.go_on.set()
    gathering = Gathering(batches.send, most=10)
    for letter in "abc":
        asking = asyncio.create_task(gathering.ask(letter))
        await turns()
        assert asking.done()
    assert batches.sent == [["a"], ["b"], ["c"]]


async def test_what_comes_while_one_is_under_way_is_gathered_and_never_joins_it() -> None:
    batches = Batches()
    gathering = Gathering(batches.send, most=3)
    first = asyncio.create_task(gathering.ask("a"))
    await turns()
    more = [asyncio.create_task(gathering.ask(letter)) for letter in "bca"]
    await turns()
    assert batches.sent == [["a"], ["b", "c", "a"]]  # the batch is full
    batches.go_on.set()
    assert await asyncio.gather(first, *more) == ["A", "B", "C", "A"]
    assert len(batches.sent) == 2


async def test_what_waits_goes_when_what_is_under_way_ends_or_soon() -> None:
    batches = Batches()
    gathering = Gathering(batches.send, most=10)
    first = asyncio.create_task(gathering.ask("a"))
    await turns()
    second = asyncio.create_task(gathering.ask("b"))

    async def are_both_sent() -> bool:
        return batches.sent == [["a"], ["b"]]

    await eventually(are_both_sent)  # sent after the delay, as the first batch has no reply
    batches.go_on.set()
    assert [await first, await second] == ["A", "B"]


async def test_a_batch_holds_no_more_than_its_weight() -> None:
    batches = Batches()
    batches.go_on.set()
    gathering = Gathering(batches.send, most=10, most_bytes=4, weight=len)
    asked = ["aa", "bb", "c", "ddddd", "e"]
    assert await asyncio.gather(*map(gathering.ask, asked)) == [each.upper() for each in asked]
    assert batches.sent == [["aa", "bb"], ["c"], ["ddddd"], ["e"]]


async def test_an_error_reaches_all_who_asked_and_the_next_batch_is_sent() -> None:
    batches = Batches()
    batches.go_on.set()
    batches.error = OSError("away")
    gathering = Gathering(batches.send, most=10)
    ends = await asyncio.gather(*map(gathering.ask, "ab"), return_exceptions=True)
    assert [str(end) for end in ends] == ["away", "away"]
    batches.error = None
    assert await gathering.ask("c") == "C"


async def test_whoever_gives_up_leaves_the_others_alone() -> None:
    batches = Batches()
    gathering = Gathering(batches.send, most=10)
    asking = [asyncio.create_task(gathering.ask(letter)) for letter in "abc"]
    await turns(1)
    asking[0].cancel()
    await turns()
    assert batches.sent == [["b", "c"]]
    asking[1].cancel()
    batches.go_on.set()
    ends = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(end) for end in ends[:2]] == [asyncio.CancelledError] * 2
    assert ends[2] == "C"
