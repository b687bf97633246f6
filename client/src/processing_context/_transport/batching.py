"""What many ask at about the same time, asked in one request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

GATHER_S = 0.003
"""How long a question waits for others while an earlier request is under way."""

Q = TypeVar("Q")
A = TypeVar("A")


class Gathering(Generic[Q, A]):
    """Sends questions in batches.

    One that comes while nothing is under way goes at once, with those of the same turn of the loop.
    The others wait a moment for more, or until what is under way ends: no question is ever answered
    from a request that was sent before it was asked.

    Args:
        send: Returns the answers of a batch, in the order of its questions. What it raises, all
            who asked get.
        most: How many questions a batch holds.
        most_bytes: How much they weigh together; a heavier one goes alone.
        weight: Of one question.
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
        """Return the answer to one question."""
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
        except Exception as exc:  # whoever asked raises it
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(exc)
            return
        for (_, answer), given in zip(batch, answers, strict=True):
            if not answer.done():
                answer.set_result(given)
