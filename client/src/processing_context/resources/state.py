"""Graph, variables and results of a run, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processing_context._state import RunState
from processing_context.wire.editor_nodes import runnable
from processing_context.wire.graph import Graph, Node


class StateMethods:
    """Access to the state of a run, without requests to the service."""

    _state: RunState

    @property
    def graph(self) -> Graph:
        """The workflow."""
        return self._state.graph

    @property
    def variables(self) -> dict[str, Any]:
        """Variables of `get` and `set`."""
        return self._state.variables

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """Outputs of nodes, `{node id: {slot: value}}`."""
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
            ValueError: The graph has no such node.
        """
        for node in self._state.graph.nodes:
            if node.id == node_id:
                return node
        raise ValueError(f"node_id={node_id!r} is not in the graph")

    def get_result(self, node_id: str, slot: str) -> Any:
        """Return the output of a node at a slot; None if there is no result."""
        return self._state.results.get(node_id, {}).get(slot)

    def set_result(self, node_id: str, res: Mapping[str, Any]) -> None:
        """Store the outputs of a node, `{slot: value}`."""
        if not isinstance(res, Mapping):
            raise ValueError(f"res= must be a dict of slots, not {type(res).__name__}")
        self._state.results[node_id] = dict(res)

    def get_node_inputs(self, node_id: str) -> dict[str, Any]:
        """Return `{target handle: value}` for the incoming edges; None without a result.

        Edges are followed through reroutes to the node that has the result.
        """
        return {
            edge.targetHandle: self.get_result(edge.source, edge.sourceHandle)
            for edge in runnable(self._state.graph).edges
            if edge.target == node_id
        }
