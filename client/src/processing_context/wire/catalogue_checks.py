"""Checks of a graph by the node catalogue.

A node type has several versions if workers have registered different descriptions of it. What every
version refuses is an error, what only some refuse is a warning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from processing_context.wire.editor_nodes import runnable
from processing_context.wire.graph import Edge, Graph, Node, is_input_type
from processing_context.wire.graph_checks import MAX_NODE_IDS
from processing_context.wire.graph_problems import Hints, Problems, label, printable
from processing_context.wire.node_checks import PARAM, CheckedNode, NodeVersion, is_given
from processing_context.wire.type_expressions import never_fits
from processing_context.wire.workflows import GraphCheckResult

Versions = Mapping[str, Sequence[NodeVersion]]
"""The versions of node types, the newest first; a type that is not registered has none."""

_NO_EDGES: Mapping[str, int] = {}
_BY_SOME = " (by some of the descriptions that workers have registered)"


class CatalogueCheck:
    """Problems that a graph of valid structure has by the catalogue.

    Args:
        graph: The graph; its nodes for the editor alone are left out.
        versions: The versions of its node types.
        params: The names of the job's params.
        unknown: The beginning of the message about a type without versions.
    """

    def __init__(
        self,
        graph: Graph,
        versions: Versions,
        params: Collection[str] = (),
        *,
        unknown: str = "no worker has registered",
    ) -> None:
        hints = Hints()
        self.errors = Problems(hints=hints)
        self.warnings = Problems(hints=hints)
        self._params = params
        run = runnable(graph)
        edges = _numbered(run.edges, graph.edges)
        self._nodes = {node.id: node for node in run.nodes}
        self._versions = {node.id: versions.get(node.type, ()) for node in run.nodes}
        self._report_unknown_types(unknown)
        self._check_nodes(edges)
        for index, edge in edges:
            self._check_conversion(index, edge)

    @property
    def result(self) -> GraphCheckResult:
        """The problems, as the service answers them."""
        return GraphCheckResult(
            errors=self.errors.first,
            warnings=self.warnings.first,
            error_count=self.errors.count,
            warning_count=self.warnings.count,
        )

    def _report_unknown_types(self, what: str) -> None:
        unknown: dict[str, list[str]] = {}
        for node_id, versions in self._versions.items():
            if not versions:
                unknown.setdefault(self._nodes[node_id].type, []).append(node_id)
        for node_type, node_ids in unknown.items():
            msg = f"{what} the node type {printable(node_type)}"
            self.warnings.add("unknown_node_type", node_ids[:MAX_NODE_IDS], msg)

    def _check_nodes(self, edges: Iterable[tuple[int, Edge]]) -> None:
        incoming: dict[str, dict[str, int]] = {}
        outgoing: dict[str, dict[str, int]] = {}
        for index, edge in edges:
            incoming.setdefault(edge.target, {})[edge.targetHandle] = index
            outgoing.setdefault(edge.source, {})[edge.sourceHandle] = index
        for node_id, versions in self._versions.items():
            if versions:
                node = self._nodes[node_id]
                checked = CheckedNode(
                    node,
                    incoming.get(node_id, _NO_EDGES),
                    outgoing.get(node_id, _NO_EDGES),
                    has_param=is_input_type(node.type) and self._has_param(node),
                )
                self._check_node(checked, versions)

    def _check_node(self, node: CheckedNode, versions: Sequence[NodeVersion]) -> None:
        if len(versions) == 1:
            versions[0].check(node, self.errors)
            return
        found = []
        for version in versions:
            limit = max(self.errors.room, self.warnings.room)
            found.append(Problems(limit, self.errors.hints))
            version.check(node, found[-1])
        if all(problems.count for problems in found):
            self.errors.extend(found[0])
            return
        for problems in found:
            self.warnings.extend(problems, note=_BY_SOME)

    def _check_conversion(self, index: int, edge: Edge) -> None:
        pairs = [
            (given, wanted)
            for source in self._versions.get(edge.source, ())
            if (given := source.outputs.get(edge.sourceHandle)) is not None
            for target in self._versions.get(edge.target, ())
            if (wanted := target.inputs.get(edge.targetHandle)) is not None
        ]
        refused = [pair for pair in pairs if never_fits(*pair)]
        if refused:
            self._refuse_conversion(index, edge, refused, is_error=len(refused) == len(pairs))

    def _refuse_conversion(
        self, index: int, edge: Edge, refused: Sequence[tuple[str, str]], *, is_error: bool
    ) -> None:
        given, wanted = refused[0]
        note = "" if is_error else _BY_SOME
        msg = (
            f"the output {printable(edge.sourceHandle)} ({printable(given)}) of"
            f" {label(self._nodes[edge.source])} does not fit the input"
            f" {printable(edge.targetHandle)} ({printable(wanted)}) of"
            f" {label(self._nodes[edge.target])}{note}"
        )
        problems = self.errors if is_error else self.warnings
        problems.add("type_mismatch", [edge.source, edge.target], msg, edge_index=index)

    def _has_param(self, node: Node) -> bool:
        """Return True if the value of an input node is a param, given now or expected later."""
        name = node.data.get("name")
        has_one = isinstance(name, str) and name in self._params
        return has_one or not is_given(node.data.get(PARAM))


def _numbered(run: Sequence[Edge], all_edges: Sequence[Edge]) -> list[tuple[int, Edge]]:
    """Return the edges of a run with their indexes in the graph; each input has one edge."""
    if run is all_edges:
        return list(enumerate(all_edges))
    indexes = {(edge.target, edge.targetHandle): at for at, edge in enumerate(all_edges)}
    return [(indexes[edge.target, edge.targetHandle], edge) for edge in run]
