"""Connection pool that measures the time for which its callers wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any

import asyncpg

from app.database.statement import Connection

OnWait = Callable[[float], object]
"""Function that is called with the seconds that a caller waited for a connection."""

IGNORED_S = 0.001
"""Waits up to this time are those for an idle connection and are not reported."""


class _Acquired:
    """Connection that is acquired from a pool, for `async with` and `await`."""

    def __init__(self, acquired: Any, on_wait: OnWait) -> None:
        self._acquired = acquired
        self._on_wait = on_wait

    async def __aenter__(self) -> Connection:
        began = time.perf_counter()
        connection: Connection = await self._acquired.__aenter__()
        self._report(began)
        return connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._acquired.__aexit__(kind, error, traceback)

    def __await__(self) -> Generator[Any, None, Connection]:
        began = time.perf_counter()
        connection: Connection = yield from self._acquired.__await__()
        self._report(began)
        return connection

    def _report(self, began: float) -> None:
        waited_s = time.perf_counter() - began
        if waited_s > IGNORED_S:
            self._on_wait(waited_s)


class MeasuredPool(asyncpg.Pool):  # not generic at run time
    """Pool of connections, which its methods acquire by `acquire`."""

    def __init__(self, *, on_wait: OnWait, **options: Any) -> None:
        super().__init__(**options)
        self._on_wait = on_wait

    def acquire(self, *, timeout: float | None = None) -> Any:
        """Return a context manager that acquires a connection."""
        return _Acquired(super().acquire(timeout=timeout), self._on_wait)
