"""Storage of the state of a run: graph, variables and results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, Self, TypeVar

from processing_context.wire.graph import Graph

Results = dict[str, dict[str, Any]]
T = TypeVar("T")


class RunState:
    """State of a context, independent of the objects that it was made from.

    Args:
        graph: The workflow; copied.
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
        self._graph = _OnFirstUse(partial(_copied_graph, graph))
        self._results = _OnFirstUse(partial(_copied_results, results or {}))
        self._graph.get()
        self._results.get()

    @property
    def graph(self) -> Graph:
        """The workflow."""
        return self._graph.get()

    @property
    def results(self) -> Results:
        """Outputs of nodes, `{node id: {slot: value}}`."""
        return self._results.get()

    def borrow(self, graph: Graph) -> None:
        """Set the graph, and copy it when it is first read: most nodes never read it."""
        self._graph = _OnFirstUse(partial(_copied_graph, graph))

    def copy(self) -> Self:
        """Return a state with the same graph and variables, and results of its own."""
        copy = self.copy_lazily()
        copy._results.get()
        return copy

    def copy_lazily(self) -> Self:
        """Return a copy whose results are those at the time of its first read of them."""
        copy = type(self).__new__(type(self))
        copy._graph, copy.variables = self._graph, self.variables
        copy._results = _OnFirstUse(partial(_copied_results, self.results))
        return copy


class _OnFirstUse(Generic[T]):
    """A value that is made when it is first read, once for all threads."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make: Callable[[], T] | None = make
        self._lock = threading.Lock()

    def get(self) -> T:
        """Return the value."""
        with self._lock:
            if self._make is not None:
                self._value = self._make()
                self._make = None
            return self._value


def _copied_graph(graph: Graph | Mapping[str, Any] | None) -> Graph:
    if graph is None:
        return Graph(nodes=[])
    if isinstance(graph, Graph):
        return graph.model_copy(deep=True)
    return Graph.model_validate(graph).model_copy(deep=True)


def _copied_results(results: Mapping[str, Mapping[str, Any]]) -> Results:
    # A list, since other threads may add results meanwhile.
    return {node_id: dict(slots) for node_id, slots in list(results.items())}
