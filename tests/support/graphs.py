"""Short forms for tests that run graphs."""

from __future__ import annotations

from typing import Any

from processing_context.context import ProcessingContext
from processing_context.nodes import NodeRegistry
from processing_context.nodes.runner import GraphRunner
from processing_context.wire.graph import Graph
from tests.support import samples


def graph(nodes: dict[str, tuple[str, dict[str, Any]]], *edges: str) -> Graph:
    """Make a graph of `{id: (type, data)}` and edges `a.output > b.value`."""
    wires = []
    for edge in edges:
        source, target = (end.strip().split(".") for end in edge.split(">"))
        wires.append(
            {
                "source": source[0],
                "sourceHandle": source[1],
                "target": target[0],
                "targetHandle": target[1],
            }
        )
    listed = [{"id": id_, "type": type_, "data": data} for id_, (type_, data) in nodes.items()]
    return Graph.model_validate({"nodes": listed, "edges": wires})


def registry() -> NodeRegistry:
    """Return the built-in nodes and those for tests."""
    return NodeRegistry.installed([samples.__name__])


class Run:
    """A run of a graph without a service."""

    def __init__(self, known: Graph | None = None) -> None:
        self.context = ProcessingContext(user_id="somebody", graph=known)
        self.runner = GraphRunner(self.context, registry())

    async def of(self, of: Graph, **params: Any) -> dict[str, Any]:
        return await self.runner.run(of, params)

    def messages(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return what was posted so far, of one type or of all."""
        posted = []
        while self.context.has_messages():
            posted.append(self.context.pop_message().model_dump(exclude_none=True))
        return [message for message in posted if kind in (None, message["type"])]
