"""Command `processing-context check`: the problems of a workflow file before it runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from processing_context.cli.params import read_graph
from processing_context.context import ProcessingContext
from processing_context.errors import ContextError, ValidationError
from processing_context.nodes.metadata import describe
from processing_context.nodes.registry import NodeRegistry
from processing_context.wire.catalogue_checks import CatalogueCheck
from processing_context.wire.graph import Graph, GraphError
from processing_context.wire.graph_checks import structural_errors
from processing_context.wire.node_checks import NodeVersion
from processing_context.wire.terminal import printable, printable_lines
from processing_context.wire.workflows import GraphCheckResult


def check_file(path: Path, url: str | None, token: str | None) -> int:
    """Check a workflow file by the service's catalogue; return the exit status, 1 for errors."""
    graph = read_graph(path)
    try:
        result = asyncio.run(_checked_by_service(graph, url, token))
    except ContextError as error:
        sys.stderr.write(printable_lines(str(error)) + "\n")
        return 2
    return _report(path, result)


def check_file_offline(path: Path, registry: NodeRegistry) -> int:
    """Check a workflow file by the installed nodes; return the exit status, 1 for errors."""
    graph = read_graph(path)
    if errors := structural_errors(graph):
        return _report(path, _result(errors))
    types = {node.type for node in graph.nodes}
    versions = {
        node.get_node_type(): [NodeVersion(describe(node))]
        for node in registry
        if node.get_node_type() in types
    }
    found = CatalogueCheck(graph, versions, unknown="no installed package has")
    return _report(path, found.result)


async def _checked_by_service(graph: Graph, url: str | None, token: str | None) -> GraphCheckResult:
    async with ProcessingContext(base_url=url, token=token) as context:
        try:
            return await context.check_graph(graph)
        except ValidationError as error:
            if error.code != "invalid_graph":
                raise
            return _result([GraphError.model_validate(each) for each in error.errors or ()])


def _result(errors: Sequence[GraphError]) -> GraphCheckResult:
    return GraphCheckResult(
        errors=list(errors), warnings=[], error_count=len(errors), warning_count=0
    )


def _report(path: Path, result: GraphCheckResult) -> int:
    for line in _lines(path, result):
        sys.stdout.write(printable(line) + "\n")
    return 1 if result.error_count else 0


def _lines(path: Path, result: GraphCheckResult) -> Iterator[str]:
    for kind, problems in (("error", result.errors), ("warning", result.warnings)):
        for problem in problems:
            yield f"{kind}: {problem.msg}"
    yield (
        f"{path}: {_counted(result.error_count, 'error')},"
        f" {_counted(result.warning_count, 'warning')}"
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
