"""Tests of the batching of concurrent statements."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from app.database.batching import MAX_RUNNING, Batcher


class Doubling:
    """Processing function that doubles numbers once its gate is open, and rejects some of them."""

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


async def submitted(batcher: Batcher[int, int], later: int) -> list[asyncio.Task[int]]:
    """Submit as many items as run at once, and `later` more while those are running."""
    tasks = [asyncio.create_task(batcher.submit(number)) for number in range(MAX_RUNNING + later)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


def doubled(count: int) -> list[int]:
    return [2 * number for number in range(count)]


async def test_items_submitted_while_others_run_form_a_batch() -> None:
    work = Doubling()
    tasks = await submitted(Batcher(work), 5)
    assert work.batches == [[number] for number in range(MAX_RUNNING)]
    work.gate.set()
    assert await asyncio.gather(*tasks) == doubled(MAX_RUNNING + 5)
    assert work.batches[MAX_RUNNING:] == [list(range(MAX_RUNNING, MAX_RUNNING + 5))]


async def test_a_batch_has_no_more_than_the_maximum_of_items() -> None:
    work = Doubling()
    tasks = await submitted(Batcher(work, max_items=3), 10)
    work.gate.set()
    assert await asyncio.gather(*tasks) == doubled(MAX_RUNNING + 10)
    assert max(map(len, work.batches)) == 3


async def test_a_bad_item_does_not_fail_the_others_of_its_batch() -> None:
    bad = MAX_RUNNING + 2
    work = Doubling(bad)
    tasks = await submitted(Batcher(work), 5)
    work.gate.set()
    results: list[object] = list(await asyncio.gather(*tasks, return_exceptions=True))
    assert isinstance(results.pop(bad), asyncpg.DataError)
    expected = doubled(MAX_RUNNING + 5)
    del expected[bad]
    assert results == expected


@pytest.mark.parametrize("error", [asyncpg.ConnectionDoesNotExistError, ValueError])
async def test_other_errors_are_not_retried_one_by_one(error: type[Exception]) -> None:
    """A lost connection leaves the outcome unknown; other exceptions are bugs."""
    work = Doubling(MAX_RUNNING + 2, error=error)
    tasks = await submitted(Batcher(work), 5)
    work.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[:MAX_RUNNING] == doubled(MAX_RUNNING)
    assert [isinstance(each, error) for each in results[MAX_RUNNING:]] == [True] * 5
    assert len(work.batches) == MAX_RUNNING + 1


async def test_an_item_cancelled_while_it_waits_is_not_processed() -> None:
    work = Doubling()
    tasks = await submitted(Batcher(work), 5)
    tasks[MAX_RUNNING + 3].cancel()
    tasks[0].cancel()  # already running: it is completed
    work.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    cancelled = [at for at, each in enumerate(results) if isinstance(each, asyncio.CancelledError)]
    assert cancelled == [0, MAX_RUNNING + 3]
    processed = [number for batch in work.batches for number in batch]
    assert processed == [number for number in range(MAX_RUNNING + 5) if number != MAX_RUNNING + 3]
