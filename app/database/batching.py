"""Batching of concurrent requests into common SQL statements."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import asyncpg

from app.database.errors import is_database_away

T = TypeVar("T")
R = TypeVar("R")

MAX_RUNNING = 8
"""Batches that run at once; items that arrive meanwhile wait and form the next batch.

Below this limit each item runs alone, which costs less than waiting for others.
"""


class Batcher(Generic[T, R]):
    """Processes items: at once while few batches are running, otherwise in batches.

    Args:
        process: Processes a batch atomically, and returns the result of each item. If PostgreSQL
            rejects a batch, its items are processed again one by one.
        max_items: The largest batch.
    """

    def __init__(
        self, process: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, max_items: int = 50
    ) -> None:
        self._process = process
        self._max_items = max_items
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def submit(self, item: T) -> R:
        """Process an item; return its result.

        Cancellation removes an item that is still waiting; a running one is completed.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._running) < MAX_RUNNING:
            self._start_batch()
        return await future

    def _start_batch(self) -> None:
        batch, self._waiting = self._waiting[: self._max_items], self._waiting[self._max_items :]
        batch = [(item, future) for item, future in batch if not future.cancelled()]
        if batch:
            task = asyncio.create_task(self._run(batch), name="batch")
            self._running.add(task)
            task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._waiting:
            self._start_batch()

    async def _run(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._process([item for item, _ in batch])
        except Exception as exc:
            if len(batch) > 1 and _is_rejection(exc):
                for entry in batch:  # a bad item must not fail the others
                    await self._run([entry])
                return
            for _, future in batch:
                if not future.cancelled():
                    future.set_exception(exc)
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.cancelled():
                    future.set_result(result)


def _is_rejection(exc: Exception) -> bool:
    """Return True if PostgreSQL rejected a statement: it had no effect and a retry would fail."""
    is_from_database = isinstance(exc, asyncpg.PostgresError | asyncpg.InterfaceError)
    return is_from_database and not is_database_away(exc)
