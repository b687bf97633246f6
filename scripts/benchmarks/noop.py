"""Nodes and graphs of benchmarks, with almost no work."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, ClassVar

from processing_context.nodes import BaseNode
from processing_context.wire.events import NodeProgress

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext


class NoOp(BaseNode):
    """Return the input."""

    namespace: ClassVar[str] = "benchmark"

    value: Any = None

    async def process(self, context: ProcessingContext) -> Any:  # noqa: ARG002  # the interface
        """Return the input."""
        return self.value


class Clock(BaseNode):
    """Return the time of its start, by the clock that all processes share."""

    namespace: ClassVar[str] = "benchmark"

    async def process(self, context: ProcessingContext) -> float:  # noqa: ARG002  # the interface
        """Return the time."""
        return time.perf_counter()


class Prints(BaseNode):
    """Print lines."""

    namespace: ClassVar[str] = "benchmark"

    lines: int = 0

    def process(self, context: ProcessingContext) -> int:  # noqa: ARG002  # the interface
        """Print the lines."""
        for number in range(self.lines):
            print(f"line {number} of a node that prints many lines")
        return self.lines


class Ticks(BaseNode):
    """Report progress for a while, with the time of each report."""

    namespace: ClassVar[str] = "benchmark"

    seconds: float = 1.5

    async def process(self, context: ProcessingContext) -> None:
        """Report the time, by the clock that all processes share."""
        began = time.perf_counter()
        while (now := time.perf_counter()) < began + self.seconds:
            progress = now - began
            context.post_message(
                NodeProgress(
                    node_id=self.id, progress=progress, total=self.seconds, chunk=f"{now} "
                )
            )
            await asyncio.sleep(0.02)


def clock() -> dict[str, Any]:
    """Return a graph whose result `began` is the start of its first node."""
    return {
        "nodes": [
            {"id": "clock", "type": Clock.get_node_type(), "data": {}},
            {"id": "out", "type": "output.AnyOutput", "data": {"name": "began"}},
        ],
        "edges": [
            {
                "source": "clock",
                "sourceHandle": "output",
                "target": "out",
                "targetHandle": "value",
            }
        ],
    }


def chain(length: int) -> dict[str, Any]:
    """Return a graph of `length` nodes in a row."""
    return {
        "nodes": [
            {"id": f"n{number}", "type": NoOp.get_node_type(), "data": {}}
            for number in range(length)
        ],
        "edges": [
            {
                "source": f"n{number}",
                "sourceHandle": "output",
                "target": f"n{number + 1}",
                "targetHandle": "value",
            }
            for number in range(length - 1)
        ],
    }
