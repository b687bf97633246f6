"""Threads for work on large JSON, which would hold the event loop for too long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from processing_context.wire.graph import Graph

P = ParamSpec("P")
T = TypeVar("T")

SMALL_BYTES = 64 * 1024
"""Size up to which the work is done at once: a thread would cost more than it."""

LARGE_BYTES = 1024 * 1024
"""Size above which one text is processed after the other."""

_GRAPH_PART_BYTES = 100
"""Estimated size of a node or an edge."""


def estimated_bytes(graph: Graph) -> int:
    """Return the estimated size of a graph as JSON."""
    return _GRAPH_PART_BYTES * (len(graph.nodes) + len(graph.edges))


class JsonThreads:
    """Runs work on JSON: small texts at once, larger ones in a thread.

    Python runs one thread at a time, but switches between them every few milliseconds, except
    within one call of a parser. Texts over 1 MiB have a thread of their own, so that they delay
    only each other, and take the memory of one at a time.
    """

    def __init__(self) -> None:
        self._medium = ThreadPoolExecutor(1, thread_name_prefix="json")
        self._large = ThreadPoolExecutor(1, thread_name_prefix="large-json")

    async def run(self, size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the result of work on a text of `size` bytes; its exceptions are raised."""
        if size <= SMALL_BYTES:
            return work(*args, **kwargs)
        executor = self._large if size > LARGE_BYTES else self._medium
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor, partial(work, *args, **kwargs))

    def close(self) -> None:
        """End the threads after their current work."""
        for executor in (self._medium, self._large):
            executor.shutdown(wait=False, cancel_futures=True)
