"""Validation of the structure of a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from app.http.problems import Invalid
from processing_context.wire.graph import Graph, GraphError
from processing_context.wire.graph_checks import cycles


class InvalidGraph(Invalid):
    """The graph cannot be run; `errors` lists every problem."""

    code = "invalid_graph"
    detail = "The graph cannot be run."


def check_graph(graph: Graph) -> None:
    """Check that a graph is acyclic, with unique node ids and at most one edge into each input.

    Raises:
        InvalidGraph: The graph breaks a rule; `errors` lists every problem.
    """
    errors = [*_duplicates(graph), *_dangling(graph), *_shared_inputs(graph), *_cycles(graph)]
    if errors:
        more = f" (and {len(errors) - 1} more problems)" if len(errors) > 1 else ""
        raise InvalidGraph(
            f"{errors[0].msg}{more}",
            errors=[error.model_dump(exclude_none=True) for error in errors],
        )


def _duplicates(graph: Graph) -> Iterator[GraphError]:
    for node_id, count in Counter(node.id for node in graph.nodes).items():
        if count > 1:
            yield GraphError(
                type="duplicate_node",
                msg=f"{count} nodes have the id {node_id!r}: node ids must be unique",
                node_ids=[node_id],
            )


def _dangling(graph: Graph) -> Iterator[GraphError]:
    known = {node.id for node in graph.nodes}
    for index, edge in enumerate(graph.edges):
        missing = [end for end in dict.fromkeys((edge.source, edge.target)) if end not in known]
        if missing:
            yield GraphError(
                type="dangling_edge",
                msg=f"edge {index} refers to nodes that do not exist: {', '.join(missing)}",
                node_ids=missing,
                edge_index=index,
            )


def _shared_inputs(graph: Graph) -> Iterator[GraphError]:
    seen: dict[tuple[str, str], int] = {}
    for index, edge in enumerate(graph.edges):
        first = seen.setdefault((edge.target, edge.targetHandle), index)
        if first != index:
            yield GraphError(
                type="input_taken",
                msg=f"edges {first} and {index} have the same target, the input "
                f"{edge.targetHandle!r} of node {edge.target!r}",
                node_ids=[edge.target],
                edge_index=index,
            )


def _cycles(graph: Graph) -> Iterator[GraphError]:
    for node_ids in cycles(graph):
        is_short = len(node_ids) < 10
        path = " -> ".join([*node_ids, node_ids[0]]) if is_short else f"{len(node_ids)} nodes"
        yield GraphError(type="cycle", msg=f"the graph has a cycle: {path}", node_ids=node_ids)
