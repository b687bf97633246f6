"""Nodes that exist for the editor alone: comments, groups, previews and reroutes."""

from __future__ import annotations

from collections.abc import Mapping, Set

from processing_context.wire.graph import Edge, Graph

_NODETOOL = "nodetool.workflows.base_node"

EDITOR_ONLY: frozenset[str] = frozenset(
    {
        *(f"{_NODETOOL}.{name}" for name in ("Comment", "Group", "Preview", "Reroute")),
        *("nodetool.control.Reroute", "control.Reroute"),
        # Without a namespace, as ComfyUI (litegraph) and React Flow name them. No node class can
        # have such a type, since every type has the namespace of its class.
        *("Comment", "Group", "MarkdownNote", "Note", "Preview", "Reroute"),
        *("annotation", "comment", "group", "note", "preview", "reroute"),
    }
)
"""Node types that no worker needs in order to run a graph."""


def runnable(graph: Graph) -> Graph:
    """Return a graph without the nodes that exist for the editor alone.

    An edge that starts at such a node, as at a reroute or a preview, starts at the origin of the
    first edge into it instead; without an origin it is left out. A graph without such nodes is
    returned as it is.
    """
    hidden = {node.id for node in graph.nodes if node.type in EDITOR_ONLY}
    if not hidden:
        return graph
    origins = _origins(graph, hidden)
    edges = []
    for edge in graph.edges:
        if edge.target in hidden:
            continue
        if edge.source not in hidden:
            edges.append(edge)
        elif (origin := origins[edge.source]) is not None:
            start = {"source": origin.source, "sourceHandle": origin.sourceHandle}
            edges.append(edge.model_copy(update=start))
    nodes = [node for node in graph.nodes if node.id not in hidden]
    return graph.model_copy(update={"nodes": nodes, "edges": edges})


def _origins(graph: Graph, hidden: Set[str]) -> Mapping[str, Edge | None]:
    """Return for each hidden node the edge at the beginning of its chain of hidden nodes."""
    into: dict[str, Edge] = {}
    for edge in graph.edges:
        if edge.target in hidden:
            into.setdefault(edge.target, edge)
    origins: dict[str, Edge | None] = {}
    for node_id in hidden:
        # Each chain is followed once, however many targets it has; a circle has no beginning.
        path: dict[str, Edge | None] = {}
        current = node_id
        first: Edge | None = None
        while current in hidden and current not in origins and current not in path:
            first = path[current] = into.get(current)
            current = "" if first is None else first.source
        if current in origins:
            first = origins[current]
        elif current in path:
            first = None
        origins |= dict.fromkeys(path, first)
    return origins
