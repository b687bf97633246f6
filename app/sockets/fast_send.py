"""Sending without a task switch where the receiver does not have to be waited for."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any


def start_eagerly(awaitable: Awaitable[None]) -> Awaitable[None] | None:
    """Run an awaitable until it first waits; return the rest of it, or None if it has finished.

    A send to a connection with room in its buffer never waits, so it needs no task. An exception is
    raised when the result is awaited: by the task of the connection, not by the caller.
    """
    steps = awaitable.__await__()
    try:
        waits_for = next(steps)
    except StopIteration:
        return None
    except Exception as exc:
        return _Failure(exc)
    return _Rest(steps, waits_for)


class _Failure:
    """An awaitable that has failed before it waited."""

    def __init__(self, exc: Exception) -> None:
        self._exc = exc

    def __await__(self) -> Generator[Any, Any, None]:
        raise self._exc
        yield  # makes it a generator


class _Rest:
    """The rest of an awaitable, from its first wait on."""

    def __init__(self, steps: Generator[Any, Any, None], waits_for: Any) -> None:
        self._steps = steps
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        yield self._waits_for
        yield from self._steps
