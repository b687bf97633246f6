"""Sending of frames without a task switch if the send does not have to wait."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any


def start_eagerly(awaitable: Awaitable[None]) -> Awaitable[None] | None:
    """Run an awaitable until it first waits; return the remainder, or None if it has finished.

    A send to a connection with space in its buffer does not wait, so it needs no task. An exception
    is raised only when the result is awaited: in the task of the connection, not in the caller.
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
    """Awaitable that raises the exception of an awaitable that failed before it waited."""

    def __init__(self, exc: Exception) -> None:
        self._exc = exc

    def __await__(self) -> Generator[Any, Any, None]:
        raise self._exc
        yield  # makes it a generator


class _Rest:
    """Awaitable for the remainder of another one, from its first wait."""

    def __init__(self, steps: Generator[Any, Any, None], waits_for: Any) -> None:
        self._steps = steps
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        yield self._waits_for
        yield from self._steps
