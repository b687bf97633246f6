"""Graph, variables and results: memory only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processing_context._state import RunState
from processing_context.wire.graph import Graph, Node


class StateMethods:
    """What a run knows."""

    _state: RunState

    @property
    def graph(self) -> Graph:
        """The workflow that is run."""
        return self._state.graph

    @property
    def variables(self) -> dict[str, Any]:
        """What `get` and `set` work on."""
        return self._state.variables

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """What nodes put out, by node and slot."""
        return self._state.results

    def get(self, key: str, default: Any = None) -> Any:
        """Return a variable."""
        return self._state.variables.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Set a variable."""
        self._state.variables[key] = value

    def find_node(self, node_id: str) -> Node:
        """Return a node of the graph.

        Raises:
            ValueError: It is not in the graph.
        """
        return self._state.find_node(node_id)

    def get_result(self, node_id: str, slot: str) -> Any:
        """Return what a node put out at a slot; None if nothing."""
        return self._state.result(node_id, slot)

    def set_result(self, node_id: str, res: Mapping[str, Any]) -> None:
        """Keep the outputs of a node, `{slot: value}`."""
        self._state.set_result(node_id, res)

    def get_node_inputs(self, node_id: str) -> dict[str, Any]:
        """Return `{target handle: value}` by the incoming edges; None: nothing yet."""
        return self._state.node_inputs(node_id)
