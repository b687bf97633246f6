"""Checks of the structure of workflow graphs, for the service, the runner and the command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from processing_context.wire.graph import Graph, GraphError

MAX_NODE_IDS = 100
"""Node ids of one error; its message has their number."""

_SHOWN_CHARS = 100
_Successors = Mapping[str, Sequence[str]]


def structural_errors(graph: Graph) -> list[GraphError]:
    """Return the errors of a graph that is cyclic, has dangling edges, or repeats ids or inputs."""
    return [*_duplicates(graph), *_dangling(graph), *_shared_inputs(graph), *_cycles(graph)]


def unsorted_nodes(graph: Graph) -> list[str]:
    """Return the ids of the nodes in cycles and of all nodes that depend on them.

    These are the nodes that a topological sort leaves over (Kahn's algorithm, 1962); a graph
    without a cycle has none.
    """
    return _unsorted(_successors(graph))


def cycles(graph: Graph) -> list[list[str]]:
    """Return the ids of the nodes of each cycle; cycles that share a node are one."""
    successors = _successors(graph)
    if not _unsorted(successors):
        return []
    return [
        component
        for component in _strong_components(successors)
        if len(component) > 1 or component[0] in successors[component[0]]
    ]


def _successors(graph: Graph) -> _Successors:
    """Return the targets of each node's edges; edges from or to an unknown node are left out."""
    successors: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    for edge in graph.edges:
        if edge.source in successors and edge.target in successors:
            successors[edge.source].append(edge.target)
    return successors


def _unsorted(successors: _Successors) -> list[str]:
    waiting = dict.fromkeys(successors, 0)
    for targets in successors.values():
        for target in targets:
            waiting[target] += 1
    ready = [node for node, count in waiting.items() if not count]
    while ready:
        node = ready.pop()
        del waiting[node]
        for target in successors[node]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return list(waiting)


def _strong_components(successors: _Successors) -> Iterator[list[str]]:
    """Yield the strongly connected components (Tarjan, 1972); iterative, for any depth."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    on_path: set[str] = set()

    def enter(node: str) -> tuple[str, Iterator[str]]:
        index[node] = low[node] = len(index)
        path.append(node)
        on_path.add(node)
        return node, iter(successors[node])

    for root in successors:
        if root in index:
            continue
        work = [enter(root)]
        while work:
            node, rest = work[-1]
            for successor in rest:
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


def _shown(text: str) -> str:
    """Return a name for a message, shortened if it is long."""
    return repr(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…")


def _duplicates(graph: Graph) -> Iterator[GraphError]:
    for node_id, count in Counter(node.id for node in graph.nodes).items():
        if count > 1:
            yield GraphError(
                type="duplicate_node",
                msg=f"{count} nodes have the id {_shown(node_id)}: node ids must be unique",
                node_ids=[node_id],
            )


def _dangling(graph: Graph) -> Iterator[GraphError]:
    known = {node.id for node in graph.nodes}
    for index, edge in enumerate(graph.edges):
        missing = [end for end in dict.fromkeys((edge.source, edge.target)) if end not in known]
        if missing:
            names = ", ".join(map(_shown, missing))
            yield GraphError(
                type="dangling_edge",
                msg=f"edge {index} refers to nodes that do not exist: {names}",
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
                f"{_shown(edge.targetHandle)} of node {_shown(edge.target)}",
                node_ids=[edge.target],
                edge_index=index,
            )


def _cycles(graph: Graph) -> Iterator[GraphError]:
    for node_ids in cycles(graph):
        is_short = len(node_ids) < 10
        names = [_shown(node_id) for node_id in (*node_ids, node_ids[0])] if is_short else []
        path = " -> ".join(names) if is_short else f"{len(node_ids)} nodes"
        yield GraphError(
            type="cycle",
            msg=f"the graph has a cycle: {path}",
            node_ids=node_ids[:MAX_NODE_IDS],
        )
