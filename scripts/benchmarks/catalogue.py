"""Benchmark of the check of a graph by the node catalogue."""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson

from processing_context.wire.catalogue_checks import CatalogueCheck
from processing_context.wire.graph import Graph
from processing_context.wire.node_checks import NodeVersion
from processing_context.wire.nodes import NodeDescription
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row, in_turn

TYPES, NODES = 1500, 1000
_DESCRIPTION = {
    "properties": [
        {"name": "image", "type": "image", "required": True},
        {"name": "radius", "type": "float", "minimum": 0, "maximum": 64},
        {"name": "count", "type": "int | none"},
        {"name": "name", "type": "str"},
        {"name": "mode", "type": "enum", "values": ["fast", "good"]},
    ],
    "outputs": [{"name": "output", "type": "image"}],
}
_DATA = {
    "image": {"type": "image", "uri": "/v1/storage/assets/a.png"},
    "radius": 2.5,
    "count": 3,
    "name": "a name",
    "mode": "good",
}


def versions() -> dict[str, list[NodeVersion]]:
    """Return the versions of a catalogue of `TYPES` types."""
    described = [
        NodeDescription.model_validate({"type": f"package.Node{number}", **_DESCRIPTION})
        for number in range(TYPES)
    ]
    return {each.type: [NodeVersion(each)] for each in described}


def graph_json() -> bytes:
    """Return a graph of `NODES` nodes in a row, each of another type."""
    nodes = [
        {"id": f"n{number}", "type": f"package.Node{number % TYPES}", "data": _DATA}
        for number in range(NODES)
    ]
    edges = [
        {
            "source": f"n{number}",
            "sourceHandle": "output",
            "target": f"n{number + 1}",
            "targetHandle": "image",
        }
        for number in range(NODES - 1)
    ]
    return orjson.dumps({"nodes": nodes, "edges": edges})


async def rows(_stack: Stack, rounds: int) -> list[Row]:
    """Measure the CPU time of a check, beside that of parsing the graph."""
    catalogue, text = versions(), graph_json()
    graph = Graph.model_validate(orjson.loads(text))

    async def check() -> float:
        return _cpu_s(lambda: CatalogueCheck(graph, catalogue))

    async def parse() -> float:
        return _cpu_s(lambda: Graph.model_validate(orjson.loads(text)))

    measured, baseline, ratio = await in_turn(check, parse, rounds=rounds)
    return [
        Row(
            f"check of a graph of {NODES} nodes by a catalogue of {TYPES} types, CPU / parsing the "
            "graph (less is better)",
            f"{measured * 1000:.1f} ms",
            f"{baseline * 1000:.1f} ms",
            f"{ratio:.2f}",
        )
    ]


def _cpu_s(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
