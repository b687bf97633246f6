"""Sending to a socket without a task that has to be woken for it."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any


def begun(sending: Awaitable[None]) -> Awaitable[None] | None:
    """Do something up to where it waits; return the rest of it, None where it has ended.

    A socket that takes what is sent never waits, so nothing has to be scheduled for it.
    """
    steps = sending.__await__()
    try:
        waits_for = next(steps)
    except StopIteration:
        return None
    except Exception as exc:  # for the socket's own task, not for whoever has something to say
        return _Failed(exc)
    return _Rest(steps, waits_for)


class _Failed:
    """What failed before it waited."""

    def __init__(self, exc: Exception) -> None:
        self._exc = exc

    def __await__(self) -> Generator[Any, Any, None]:
        raise self._exc
        yield  # which makes it a generator


class _Rest:
    """What waits, to be gone on with by a task."""

    def __init__(self, steps: Generator[Any, Any, None], waits_for: Any) -> None:
        self._steps = steps
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        yield self._waits_for
        yield from self._steps
