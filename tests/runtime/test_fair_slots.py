"""Tests of slots that users share fairly."""

from __future__ import annotations

import asyncio

import pytest

from app.runtime.fair_slots import FairSlots, SlotsBusyError
from tests.support.loop import turns
from tests.support.services import WAIT_S


class Work:
    """Requests that hold a slot until `end`."""

    def __init__(self, slots: FairSlots) -> None:
        self.slots = slots
        self.running: list[str] = []
        self._ends: dict[asyncio.Task[None], asyncio.Event] = {}

    def start(self, user_id: str) -> asyncio.Task[None]:
        end = asyncio.Event()
        task = asyncio.create_task(self._run(user_id, end))
        self._ends[task] = end
        return task

    async def end(self, *tasks: asyncio.Task[None]) -> None:
        for task in tasks:
            self._ends[task].set()
        await asyncio.gather(*tasks)
        await turns()

    async def _run(self, user_id: str, end: asyncio.Event) -> None:
        await self.slots.acquire(user_id, wait_s=WAIT_S)
        self.running.append(user_id)
        await end.wait()
        self.running.remove(user_id)
        self.slots.release(user_id)


def slots(count: int = 3, *, per_user: int = 2, queue: int = 10) -> FairSlots:
    return FairSlots(count, per_user=per_user, queue=queue)


async def test_one_user_cannot_take_all_slots() -> None:
    work = Work(slots())
    tasks = [work.start("greedy") for _ in range(5)]
    await turns()
    assert work.running == ["greedy", "greedy"]
    other = work.start("other")
    await turns()
    assert work.running == ["greedy", "greedy", "other"]
    await work.end(other, *tasks)
    assert work.slots.waiting == 0


async def test_a_free_slot_goes_to_the_user_who_holds_the_fewest() -> None:
    work = Work(slots(2, per_user=2))
    greedy = [work.start("greedy") for _ in range(6)]
    await turns()
    others = [work.start("other"), work.start("third")]
    await turns()
    await work.end(greedy[0])
    assert sorted(work.running) == ["greedy", "other"]
    fourth = work.start("fourth")
    await work.end(others[0])
    assert sorted(work.running) == ["greedy", "third"]
    await work.end(fourth, others[1], *greedy[1:])


async def test_equal_users_take_turns() -> None:
    pool = slots(1, per_user=1)
    order = []

    async def run(user_id: str) -> None:
        await pool.acquire(user_id, wait_s=WAIT_S)
        order.append(user_id)
        pool.release(user_id)

    await pool.acquire("first", wait_s=WAIT_S)
    tasks = [asyncio.create_task(run(user_id)) for user_id in "aaabb"]
    await turns()
    pool.release("first")
    await asyncio.gather(*tasks)
    assert order == list("ababa")


async def test_a_full_queue_refuses_the_user_with_the_most_waiting_requests() -> None:
    work = Work(slots(1, per_user=1, queue=3))
    greedy = [work.start("greedy") for _ in range(4)]
    await turns()
    with pytest.raises(SlotsBusyError):
        await work.slots.acquire("greedy", wait_s=WAIT_S)
    other = work.start("other")
    await turns()
    with pytest.raises(SlotsBusyError):
        await greedy[3]
    await work.end(*greedy[:3], other)
    assert work.slots.waiting == 0


async def test_a_wait_that_is_too_long_or_cancelled_leaves_the_queue() -> None:
    pool = slots(1, per_user=1)
    await pool.acquire("first", wait_s=WAIT_S)
    with pytest.raises(SlotsBusyError):
        await pool.acquire("second", wait_s=0.01)
    waiting = asyncio.create_task(pool.acquire("third", wait_s=WAIT_S))
    await turns()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert pool.waiting == 0
    pool.release("first")
    await pool.acquire("fourth", wait_s=WAIT_S)


async def test_a_slot_that_is_granted_to_a_cancelled_request_is_free_again() -> None:
    pool = slots(1, per_user=1)
    await pool.acquire("first", wait_s=WAIT_S)
    waiting = asyncio.create_task(pool.acquire("second", wait_s=WAIT_S))
    await turns()
    pool.release("first")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(pool.acquire("third", wait_s=WAIT_S), WAIT_S)
