"""State of a run: graph, variables and results."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Self

from processing_context.wire.graph import Graph

Results = dict[str, dict[str, Any]]

_COPYING = threading.RLock()
"""Lock of copies on first use, since several threads of a node may be the first."""


class RunState:
    """State of a context; its arguments are copied.

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
        self.variables = dict(variables or {})
        self._graph = _LazyGraph(_copied_graph(graph))
        self._results: Results | None = _copied_results(results or {})
        self._original: RunState = self

    @property
    def graph(self) -> Graph:
        """The workflow."""
        return self._graph.get()

    @property
    def results(self) -> Results:
        """Outputs of nodes, `{node id: {slot: value}}`."""
        if self._results is not None:
            return self._results
        with _COPYING:
            if self._results is None:
                self._results = _copied_results(self._original.results)
            return self._results

    def borrow(self, graph: Graph) -> None:
        """Set the graph, which is copied when it is first read: most nodes never read it."""
        self._graph = _LazyGraph(None, graph)

    def copy(self) -> Self:
        """Return a state with the same graph and variables, and a copy of the results."""
        copy = self.copy_lazily()
        copy._results = _copied_results(self.results)
        return copy

    def copy_lazily(self) -> Self:
        """Return a copy whose results are copied on first use: most nodes never read them."""
        copy = object.__new__(type(self))
        copy.variables = self.variables
        copy._graph = self._graph
        copy._results = None
        copy._original = self
        return copy


class _LazyGraph:
    """Graph of a state and its copies; a borrowed one is copied on first use."""

    def __init__(self, graph: Graph | None, borrowed: Graph | None = None) -> None:
        self._graph = graph
        self._borrowed = borrowed

    def get(self) -> Graph:
        """Return the graph."""
        with _COPYING:
            if self._graph is None:
                self._graph = _copied_graph(self._borrowed)
                self._borrowed = None
            return self._graph


def _copied_graph(graph: Graph | Mapping[str, Any] | None) -> Graph:
    if graph is None:
        return Graph(nodes=[])
    if isinstance(graph, Graph):
        return graph.model_copy(deep=True)
    return Graph.model_validate(graph).model_copy(deep=True)


def _copied_results(results: Mapping[str, Mapping[str, Any]]) -> Results:
    # list(), since other threads may add results meanwhile.
    return {node_id: dict(slots) for node_id, slots in list(results.items())}
