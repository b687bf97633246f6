"""Checks of the structure of a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from app.http.problems import Invalid
from processing_context.wire.graph import Graph, GraphError


class InvalidGraph(Invalid):
    """The graph cannot be run; `errors` lists every problem."""

    code = "invalid_graph"
    detail = "The graph cannot be run."


def check_graph(graph: Graph) -> None:
    """Check that a graph is a directed acyclic one with at most one edge into each input.

    Raises:
        InvalidGraph: It is not; `errors` lists every problem.
    """
    errors = [*_duplicates(graph), *_dangling(graph), *_taken(graph), *_cycles(graph)]
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
                msg=f"{count} nodes have the id {node_id!r}: each needs its own",
                node_ids=[node_id],
            )


def _dangling(graph: Graph) -> Iterator[GraphError]:
    known = {node.id for node in graph.nodes}
    for index, edge in enumerate(graph.edges):
        missing = [end for end in dict.fromkeys((edge.source, edge.target)) if end not in known]
        if missing:
            yield GraphError(
                type="dangling_edge",
                msg=f"edge {index} names a node that is not in the graph: {', '.join(missing)}",
                node_ids=missing,
                edge_index=index,
            )


def _taken(graph: Graph) -> Iterator[GraphError]:
    seen: dict[tuple[str, str], int] = {}
    for index, edge in enumerate(graph.edges):
        first = seen.setdefault((edge.target, edge.targetHandle), index)
        if first != index:
            yield GraphError(
                type="input_taken",
                msg=f"edges {first} and {index} both go into {edge.targetHandle!r} of "
                f"{edge.target!r}",
                node_ids=[edge.target],
                edge_index=index,
            )


def _cycles(graph: Graph) -> Iterator[GraphError]:
    following: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    for edge in graph.edges:
        if edge.source in following and edge.target in following:
            following[edge.source].append(edge.target)
    for component in _strong_components(following):
        if len(component) > 1 or component[0] in following[component[0]]:
            ring = " -> ".join([*component, component[0]]) if len(component) < 10 else "many nodes"
            yield GraphError(
                type="cycle", msg=f"the graph runs in a circle: {ring}", node_ids=component
            )


def _strong_components(following: dict[str, list[str]]) -> Iterator[list[str]]:
    """Tarjan's algorithm (1972), iterative: graphs may be deeper than Python's stack."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    on_path: set[str] = set()

    def enter(node: str) -> tuple[str, Iterator[str]]:
        index[node] = low[node] = len(index)
        path.append(node)
        on_path.add(node)
        return node, iter(following[node])

    for root in following:
        if root in index:
            continue
        work = [enter(root)]
        while work:
            node, successors = work[-1]
            for successor in successors:
                if successor not in index:
                    work.append(enter(successor))
                    break
                if successor in on_path:
                    low[node] = min(low[node], index[successor])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component = _pop_through(path, node)
                    on_path.difference_update(component)
                    yield component


def _pop_through(path: list[str], node: str) -> list[str]:
    popped = [path.pop()]
    while popped[-1] != node:
        popped.append(path.pop())
    return popped[::-1]
