"""Batching of concurrent requests into one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

GATHER_S = 0.003
"""Seconds that a new item waits for others while an earlier batch is in flight."""

Q = TypeVar("Q")
A = TypeVar("A")


class Gathering(Generic[Q, A]):
    """Batches of items that are sent by concurrent callers.

    An item that arrives while no batch is in flight is sent in the same turn of the event loop.
    Other items wait up to `GATHER_S`, or until the batch in flight ends. A response never comes
    from a request that was sent before its item arrived.

    Args:
        send: Returns the results of a batch, in the order of its items. Its exception is raised
            to all callers of the batch.
        most: Largest number of items in a batch.
        most_bytes: Largest total weight of a batch; a heavier item is sent alone.
        weight: Returns the weight of an item.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Q]], Awaitable[Sequence[A]]],
        *,
        most: int,
        most_bytes: int = 0,
        weight: Callable[[Q], int] = lambda _: 0,
    ) -> None:
        self._send = send
        self._most = most
        self._most_bytes = most_bytes
        self._weight = weight
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._weighs = 0
        self._next: asyncio.Handle | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    async def ask(self, question: Q) -> A:
        """Send an item in the next batch and return its result."""
        weight = self._weight(question)
        if self._waiting and self._weighs + weight > self._most_bytes:
            self._flush()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[A] = loop.create_future()
        self._waiting.append((question, answer))
        self._weighs += weight
        if len(self._waiting) >= self._most:
            self._flush()
        elif self._next is None:
            self._next = (
                loop.call_later(GATHER_S, self._flush)
                if self._under_way
                else loop.call_soon(self._flush)
            )
        return await answer

    def _flush(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        batch = [(question, answer) for question, answer in self._waiting if not answer.done()]
        self._waiting, self._weighs = [], 0
        if batch:
            task = asyncio.create_task(self._answer(batch))
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not self._under_way:
            self._flush()

    async def _answer(self, batch: list[tuple[Q, asyncio.Future[A]]]) -> None:
        try:
            answers = await self._send([question for question, _ in batch])
        except asyncio.CancelledError:
            for _, answer in batch:
                answer.cancel()
            raise
        except Exception as exc:  # raised by the callers
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(exc)
            return
        for (_, answer), given in zip(batch, answers, strict=True):
            if not answer.done():
                answer.set_result(given)
