"""Nodes and graphs of benchmarks, with almost no work."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from processing_context.nodes import BaseNode

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
