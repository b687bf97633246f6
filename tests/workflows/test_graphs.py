"""Unit tests of the validation of graphs and of their JSON Schemas."""

from __future__ import annotations

from itertools import pairwise

import pytest

from app.workflows.graph_schemas import input_schema, output_schema
from app.workflows.graphs import InvalidGraph, check_graph
from processing_context.wire.graph import Edge, Graph, Node


def graph(ids: str, *edges: str) -> Graph:
    """Return a graph of one-letter nodes; `"a>b"` is an edge into the input `a` of node b."""
    return Graph(
        nodes=[Node(id=node, type="t") for node in ids],
        edges=[
            Edge(source=e[0], sourceHandle="output", target=e[2], targetHandle=e[3:] or e[0])
            for e in edges
        ],
    )


def problems(bad: Graph) -> list[dict[str, object]]:
    """Return the errors of an invalid graph."""
    with pytest.raises(InvalidGraph) as caught:
        check_graph(bad)
    assert caught.value.errors
    return caught.value.errors


def test_a_diamond_is_valid() -> None:
    check_graph(graph("abcd", "a>b", "a>c", "b>d", "c>d"))


def test_an_empty_graph_is_valid() -> None:
    check_graph(Graph(nodes=[]))


def test_one_output_may_feed_many_inputs() -> None:
    check_graph(graph("ab", "a>bx", "a>by"))


def test_two_edges_into_one_input_are_refused() -> None:
    [error] = problems(graph("abc", "a>cx", "b>cx"))
    assert error["type"] == "input_taken"
    assert error["node_ids"] == ["c"]
    assert error["edge_index"] == 1


def test_an_edge_to_a_missing_node_is_refused() -> None:
    [error] = problems(graph("a", "a>z"))
    assert (error["type"], error["node_ids"], error["edge_index"]) == ("dangling_edge", ["z"], 0)


def test_duplicate_ids_are_refused() -> None:
    [error] = problems(graph("aba"))
    assert (error["type"], error["node_ids"]) == ("duplicate_node", ["a"])


def test_a_node_that_feeds_itself_is_a_cycle() -> None:
    [error] = problems(graph("a", "a>a"))
    assert (error["type"], error["node_ids"]) == ("cycle", ["a"])


def test_every_problem_is_listed() -> None:
    bad = graph("abcdd", "a>b", "b>a", "c>c", "a>z", "b>cx", "a>cx")
    assert sorted(str(error["type"]) for error in problems(bad)) == [
        "cycle",
        "cycle",
        "dangling_edge",
        "duplicate_node",
        "input_taken",
    ]


def test_a_very_long_chain_does_not_exhaust_the_stack() -> None:
    ids = [str(number) for number in range(20_000)]
    edges = [
        Edge(source=a, sourceHandle="output", target=b, targetHandle="x") for a, b in pairwise(ids)
    ]
    nodes = [Node(id=node, type="t") for node in ids]
    check_graph(Graph(nodes=nodes, edges=edges))
    edges.append(Edge(source=ids[-1], sourceHandle="output", target="0", targetHandle="y"))
    [error] = problems(Graph(nodes=nodes, edges=edges))
    assert error["type"] == "cycle"


EMPTY = {"type": "image", "uri": "", "asset_id": None, "data": None}


def test_the_schema_of_a_ref_has_the_type_of_the_ref() -> None:
    for kind, ref_type in (("Image", "image"), ("Model", "model_ref"), ("Asset", "asset")):
        node = Node(id="1", type=f"input.{kind}Input", data={"name": "x"})
        taken = input_schema([node])
        assert taken["properties"]["x"]["properties"]["type"] == {"const": ref_type}


def test_schemas_come_from_the_input_and_output_nodes() -> None:
    nodes = [
        Node(id="1", type="input.IntegerInput", data={"name": "width", "value": 64}),
        Node(id="2", type="nodetool.input.ImageInput", data={"name": "photo", "value": EMPTY}),
        Node(id="3", type="image.Resize"),
        Node(id="4", type="output.ImageOutput", data={"name": "small"}),
        Node(id="5", type="output.AnyOutput"),
    ]
    taken = input_schema(nodes)
    assert taken["properties"]["width"] == {"type": "integer", "default": 64}
    assert taken["properties"]["photo"]["properties"]["type"] == {"const": "image"}
    assert "default" not in taken["properties"]["photo"]
    assert taken["required"] == ["photo"]
    given = output_schema(nodes)
    assert given["properties"]["small"]["type"] == "object"
    assert given["properties"]["5"] == {}
