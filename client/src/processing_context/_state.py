"""What a run knows: its graph, variables and results. Memory only."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Self

from processing_context.wire.graph import Graph, Node


class RunState:
    """The state of a context; nothing in it is shared with what it was made from.

    Args:
        graph: The workflow.
        variables: Copied, not deeply.
        results: Copied down to the slots.
    """

    def __init__(
        self,
        graph: Graph | Mapping[str, Any] | None = None,
        variables: Mapping[str, Any] | None = None,
        results: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._graph = _Own(None if graph is None else _own(graph))
        self.variables = dict(variables or {})
        self.results = {node_id: dict(slots) for node_id, slots in (results or {}).items()}

    @property
    def graph(self) -> Graph:
        """The workflow."""
        return self._graph.get()

    def borrow(self, graph: Graph) -> None:
        """Take a graph that is copied when somebody first looks at it; most nodes never do."""
        self._graph = _Own(None, graph)

    def copy(self) -> Self:
        """Return a state with the same graph and variables, and results of its own."""
        copy = type(self).__new__(type(self))
        copy._graph, copy.variables = self._graph, self.variables
        # A list, since other nodes may end meanwhile, in another thread than this one.
        results = list(self.results.items())
        copy.results = {node_id: dict(slots) for node_id, slots in results}
        return copy

    def find_node(self, node_id: str) -> Node:
        """Return a node of the graph; ValueError if it is absent."""
        for node in self.graph.nodes:
            if node.id == node_id:
                return node
        raise ValueError(f"there is no node {node_id!r} in the graph")

    def result(self, node_id: str, slot: str) -> Any:
        """Return what a node put out at a slot; None if nothing."""
        return self.results.get(node_id, {}).get(slot)

    def set_result(self, node_id: str, res: Mapping[str, Any]) -> None:
        """Keep the outputs of a node."""
        if not isinstance(res, Mapping):
            raise ValueError(f"a result is a dict of slots, not a {type(res).__name__}")
        self.results[node_id] = dict(res)

    def node_inputs(self, node_id: str) -> dict[str, Any]:
        """Return what has come in at each connected handle of a node; None: nothing yet."""
        return {
            edge.targetHandle: self.result(edge.source, edge.sourceHandle)
            for edge in self.graph.edges
            if edge.target == node_id
        }


class _Own:
    """A graph that is not shared with whom it came from; one for a state and its copies."""

    def __init__(self, graph: Graph | None, borrowed: Graph | None = None) -> None:
        self._graph = graph
        self._borrowed = borrowed
        self._lock = threading.Lock()

    def get(self) -> Graph:
        """Return it."""
        with self._lock:
            if self._graph is None:
                self._graph = _own(self._borrowed)
                self._borrowed = None
            return self._graph


def _own(graph: Graph | Mapping[str, Any] | None) -> Graph:
    if graph is None:
        return Graph(nodes=[])
    if isinstance(graph, Graph):
        return graph.model_copy(deep=True)
    return Graph.model_validate(graph).model_copy(deep=True)
