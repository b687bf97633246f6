from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from app.database.batching import AT_ONCE, Gathering


class Doubling:
    """Doubles numbers, when it is told to; refuses some of them."""

    def __init__(self, *bad: int, error: type[Exception] = asyncpg.DataError) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self._bad = bad
        self._error = error

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        await self.gate.wait()
        if any(number in self._bad for number in numbers):
            raise self._error("one of them is bad")
        return [2 * number for number in numbers]


async def asked(gathering: Gathering[int, int], later: int) -> list[asyncio.Task[int]]:
    """Ask for as many as are done at once, and for some that come while those are under way."""
    tasks = [asyncio.create_task(gathering.ask(number)) for number in range(AT_ONCE + later)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


def doubled(count: int) -> list[int]:
    return [2 * number for number in range(count)]


async def test_what_comes_while_others_are_under_way_is_done_together() -> None:
    work = Doubling()
    tasks = await asked(Gathering(work), 5)
    assert work.batches == [[number] for number in range(AT_ONCE)]
    work.gate.set()
    assert await asyncio.gather(*tasks) == doubled(AT_ONCE + 5)
    assert work.batches[AT_ONCE:] == [list(range(AT_ONCE, AT_ONCE + 5))]


async def test_no_more_than_the_most_are_done_together() -> None:
    work = Doubling()
    tasks = await asked(Gathering(work, most=3), 10)
    work.gate.set()
    assert await asyncio.gather(*tasks) == doubled(AT_ONCE + 10)
    assert max(map(len, work.batches)) == 3


async def test_one_that_is_wrong_does_not_spoil_the_others() -> None:
    bad = AT_ONCE + 2
    work = Doubling(bad)
    tasks = await asked(Gathering(work), 5)
    work.gate.set()
    came: list[object] = list(await asyncio.gather(*tasks, return_exceptions=True))
    assert isinstance(came.pop(bad), asyncpg.DataError)
    expected = doubled(AT_ONCE + 5)
    del expected[bad]
    assert came == expected


@pytest.mark.parametrize("error", [asyncpg.ConnectionDoesNotExistError, ValueError])
async def test_what_another_try_may_spoil_is_not_tried_one_by_one(error: type[Exception]) -> None:
    """The database is away, and who knows what it has done; or the fault is our own."""
    work = Doubling(AT_ONCE + 2, error=error)
    tasks = await asked(Gathering(work), 5)
    work.gate.set()
    came = await asyncio.gather(*tasks, return_exceptions=True)
    assert came[:AT_ONCE] == doubled(AT_ONCE)
    assert [isinstance(each, error) for each in came[AT_ONCE:]] == [True] * 5
    assert len(work.batches) == AT_ONCE + 1


async def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    work = Doubling()
    tasks = await asked(Gathering(work), 5)
    tasks[AT_ONCE + 3].cancel()
    tasks[0].cancel()  # begun: it is done all the same
    work.gate.set()
    came = await asyncio.gather(*tasks, return_exceptions=True)
    gone = [at for at, each in enumerate(came) if isinstance(each, asyncio.CancelledError)]
    assert gone == [0, AT_ONCE + 3]
    done = [number for batch in work.batches for number in batch]
    assert done == [number for number in range(AT_ONCE + 5) if number != AT_ONCE + 3]
