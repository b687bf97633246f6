from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from app.core.gathering import AT_ONCE, Gathering


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


async def asked(gathering: Gathering[int, int], count: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(gathering.ask(number)) for number in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_while_others_are_under_way_is_done_together() -> None:
    work = Doubling()
    tasks = await asked(Gathering(work), 7)
    assert work.batches == [[number] for number in range(AT_ONCE)]
    work.gate.set()
    assert await asyncio.gather(*tasks) == [2 * number for number in range(7)]
    assert work.batches[AT_ONCE:] == [list(range(AT_ONCE, 7))]


async def test_no_more_than_the_most_are_done_together() -> None:
    work = Doubling()
    tasks = await asked(Gathering(work, most=3), 10)
    work.gate.set()
    assert await asyncio.gather(*tasks) == [2 * number for number in range(10)]
    assert max(map(len, work.batches)) == 3


async def test_one_that_is_wrong_does_not_spoil_the_others() -> None:
    work = Doubling(4)
    tasks = await asked(Gathering(work), 7)
    work.gate.set()
    came = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(came[4], asyncpg.DataError)
    assert [each for at, each in enumerate(came) if at != 4] == [0, 2, 4, 6, 10, 12]


async def test_a_database_that_is_away_is_not_asked_for_each() -> None:
    work = Doubling(4, error=asyncpg.ConnectionDoesNotExistError)
    tasks = await asked(Gathering(work), 7)
    work.gate.set()
    came = await asyncio.gather(*tasks, return_exceptions=True)
    assert came[:AT_ONCE] == [0, 2]
    assert all(isinstance(each, asyncpg.ConnectionDoesNotExistError) for each in came[AT_ONCE:])
    assert len(work.batches) == AT_ONCE + 1


async def test_what_fails_of_our_own_is_not_done_twice() -> None:
    work = Doubling(4, error=ValueError)
    tasks = await asked(Gathering(work), 7)
    work.gate.set()
    came = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(each, ValueError) for each in came] == [False] * AT_ONCE + [True] * 5
    assert len(work.batches) == AT_ONCE + 1


async def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    work = Doubling()
    tasks = await asked(Gathering(work), 7)
    tasks[5].cancel()
    tasks[0].cancel()  # begun: it is done all the same
    work.gate.set()
    came = await asyncio.gather(*tasks, return_exceptions=True)
    assert [at for at, each in enumerate(came) if isinstance(each, asyncio.CancelledError)] == [
        0,
        5,
    ]
    assert [number for batch in work.batches for number in batch] == [0, 1, 2, 3, 4, 6]
    with pytest.raises(asyncio.CancelledError):
        await tasks[5]
