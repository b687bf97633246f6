"""What many requests want of PostgreSQL at the same time, done by one statement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import asyncpg

from app.database.errors import is_database_away

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 8
"""How many statements may be under way before others are gathered: few cost less one by one."""


class Gathering(Generic[T, R]):
    """Does things at once while few are under way, and otherwise together with the next ones.

    Args:
        do: Does some, all or nothing, and returns what came of each. What PostgreSQL refuses is
            tried once more one by one.
        most: How many it does together.
    """

    def __init__(
        self, do: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, most: int = 50
    ) -> None:
        self._do = do
        self._most = most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def ask(self, thing: T) -> R:
        """Do one thing. Once begun it is done, also where nobody waits for it any more."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((thing, done))
        if len(self._under_way) < AT_ONCE:
            self._begin()
        return await done

    def _begin(self) -> None:
        taken, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        taken = [(thing, done) for thing, done in taken if not done.cancelled()]
        if taken:
            task = asyncio.create_task(self._settle(taken), name="gathered")
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if self._waiting:
            self._begin()

    async def _settle(self, taken: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            came = await self._do([thing for thing, _ in taken])
        except Exception as exc:
            if len(taken) > 1 and _is_refusal(exc):
                for one in taken:  # one of them is wrong, and the others are not to suffer for it
                    await self._settle([one])
                return
            for _, done in taken:
                if not done.cancelled():
                    done.set_exception(exc)
        else:
            for (_, done), result in zip(taken, came, strict=True):
                if not done.cancelled():
                    done.set_result(result)


def _is_refusal(exc: Exception) -> bool:
    """Whether it says that PostgreSQL did nothing, and would not another time."""
    is_said = isinstance(exc, asyncpg.PostgresError | asyncpg.InterfaceError)
    return is_said and not is_database_away(exc)
