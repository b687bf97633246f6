"""Validation of the structure of graphs, and work on their JSON."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import NamedTuple

import orjson

from app.http.idempotency.keys import fingerprint_of
from app.http.json_threads import JsonThreads, estimated_bytes
from app.http.problems import MAX_ERRORS, Invalid
from processing_context.wire.editor_nodes import EDITOR_ONLY
from processing_context.wire.graph import Graph, GraphError, GraphLimits
from processing_context.wire.graph_checks import structural_errors
from processing_context.wire.jobs import RunJobRequest
from processing_context.wire.workflows import WorkflowCreate


class InvalidGraph(Invalid):
    """The graph cannot be run; `errors` lists the problems."""

    code = "invalid_graph"
    detail = "The graph cannot be run."

    @classmethod
    def of(cls, errors: Sequence[GraphError], count: int | None = None) -> InvalidGraph:
        """Return the problem for the errors of a graph; `count`: their number if there are more."""
        count = len(errors) if count is None else count
        more = f" (and {count - 1} more problems)" if count > 1 else ""
        return cls(
            f"{errors[0].msg}{more}",
            errors=[each.model_dump(exclude_none=True) for each in errors[:MAX_ERRORS]],
            error_count=count,
        )


class CheckedGraph(NamedTuple):
    """A valid graph as JSON text, with the node types that its worker needs."""

    text: str
    node_types: list[str]


class ParsedGraph(NamedTuple):
    """A stored graph, with the node types that its worker needs."""

    graph: Graph
    node_types: list[str]


class Graphs:
    """Checks and encodes graphs, large ones in a thread."""

    def __init__(self, threads: JsonThreads, limits: GraphLimits) -> None:
        self._threads = threads
        self._limits = limits

    async def check(self, graph: Graph) -> CheckedGraph:
        """Return a graph as it is stored.

        Raises:
            InvalidGraph: The graph exceeds a limit or breaks a rule.
        """
        _check_counts(graph, self._limits)
        return await self._threads.run(estimated_bytes(graph), _checked, graph, self._limits.size)

    async def fingerprint(self, *requests: WorkflowCreate | RunJobRequest) -> bytes:
        """Return the fingerprint of the body of a request, for its idempotency key.

        Raises:
            InvalidGraph: A graph has too many nodes or edges.
        """
        graphs = [request.graph for request in requests if request.graph is not None]
        for graph in graphs:
            _check_counts(graph, self._limits)
        return await self._threads.run(sum(map(estimated_bytes, graphs)), fingerprint_of, *requests)

    async def parse(self, text: str) -> ParsedGraph:
        """Return a stored graph, with the node types that its worker needs."""
        return await self._threads.run(len(text), _parsed, text)


def _checked(graph: Graph, max_bytes: int) -> CheckedGraph:
    check_graph(graph)
    text = graph.model_dump_json()
    size = len(text.encode())
    if size > max_bytes:
        message = f"the graph has {size} bytes of JSON; the limit is {max_bytes} bytes"
        raise InvalidGraph.of([GraphError(type="too_large", msg=message, node_ids=[])])
    return CheckedGraph(text, _required({node.type for node in graph.nodes}))


def _parsed(text: str) -> ParsedGraph:
    graph = Graph.model_validate(orjson.loads(text))
    return ParsedGraph(graph, _required({node.type for node in graph.nodes}))


def _required(node_types: Set[str]) -> list[str]:
    return sorted(node_types - EDITOR_ONLY)


def _check_counts(graph: Graph, limits: GraphLimits) -> None:
    """Check the numbers of nodes and edges; those of a graph over the limits are not validated.

    Raises:
        InvalidGraph: There are too many.
    """
    errors = []
    if (count := len(graph.nodes)) > limits.nodes:
        message = f"the graph has {count} nodes; the limit is {limits.nodes}"
        errors.append(GraphError(type="too_many_nodes", msg=message, node_ids=[]))
    if (count := len(graph.edges)) > limits.edges:
        message = f"the graph has {count} edges; the limit is {limits.edges}"
        errors.append(GraphError(type="too_many_edges", msg=message, node_ids=[]))
    if errors:
        raise InvalidGraph.of(errors)


def check_graph(graph: Graph) -> None:
    """Check that a graph is acyclic, with unique node ids and at most one edge into each input.

    Raises:
        InvalidGraph: The graph breaks a rule; `errors` lists the problems.
    """
    if errors := structural_errors(graph):
        raise InvalidGraph.of(errors)
