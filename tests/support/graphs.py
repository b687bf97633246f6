"""Helpers for tests that run graphs."""

from __future__ import annotations

from typing import Any

import pytest

from processing_context.context import ProcessingContext
from processing_context.nodes import NodeRegistry
from processing_context.nodes.runner import GraphRunner, RunFailedError
from processing_context.wire.graph import Graph
from processing_context.wire.jobs import JobError
from tests.support import samples

Spec = tuple[str, dict[str, Any]]
"""Type and data of a node."""


def graph(nodes: dict[str, Spec], *edges: str) -> Graph:
    """Return a graph of nodes `{id: (type, data)}` and edges `a.output > b.value`."""
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


GREETING = graph(
    {
        "who": ("input.TextInput", {"name": "who", "value": "world"}),
        "text": ("text.Template", {"template": "hello {who}"}),
        "out": ("output.TextOutput", {"name": "greeting"}),
    },
    "who.output > text.who",
    "text.output > out.value",
)


def gives(value: Any, output: str = "output.AnyOutput") -> Graph:
    """Make a graph whose output `it` is a value."""
    samples.Gives.values["it"] = value
    return graph(
        {"a": ("sample.Gives", {"key": "it"}), "out": (output, {"name": "it"})},
        "a.output > out.value",
    )


def registry() -> NodeRegistry:
    """Return the built-in nodes and those for tests."""
    return NodeRegistry.installed([samples.__name__])


class Run:
    """A run of a graph without a service."""

    def __init__(self, known: Graph | None = None, **limits: Any) -> None:
        self.context = ProcessingContext(user_id="somebody", graph=known)
        self.runner = GraphRunner(self.context, registry(), **limits)

    async def of(self, of: Graph, **params: Any) -> dict[str, Any]:
        return await self.runner.run(of, params)

    def messages(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return what was posted so far, of one type or of all."""
        posted = []
        while self.context.has_messages():
            posted.append(self.context.pop_message().model_dump(exclude_none=True))
        return [message for message in posted if kind in (None, message["type"])]


async def failure(run: Run, of: Graph, **params: Any) -> JobError:
    """Run a graph that fails; return the error of the job."""
    with pytest.raises(RunFailedError) as caught:
        await run.of(of, **params)
    return caught.value.error
