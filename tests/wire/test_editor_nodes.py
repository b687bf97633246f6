"""Tests of the nodes that exist for editors alone."""

from __future__ import annotations

import pytest

from processing_context.wire.editor_nodes import EDITOR_ONLY, runnable
from processing_context.wire.graph import Graph
from tests.support.graphs import Spec, graph

REROUTE: Spec = ("nodetool.control.Reroute", {})


def wires(of: Graph) -> list[str]:
    return [f"{e.source}.{e.sourceHandle} > {e.target}.{e.targetHandle}" for e in of.edges]


@pytest.mark.parametrize(
    "kind",
    [
        "nodetool.workflows.base_node.Comment",
        "nodetool.workflows.base_node.Group",
        "nodetool.workflows.base_node.Preview",
        "Note",
        "MarkdownNote",
        "group",
    ],
)
def test_nodes_of_the_editor_and_edges_into_them_are_left_out(kind: str) -> None:
    assert kind in EDITOR_ONLY
    drawn = graph(
        {"a": ("t.A", {}), "b": ("t.B", {}), "x": (kind, {"headline": "Notes"})},
        "a.output > b.value",
        "a.output > x.value",
    )
    left = runnable(drawn)
    assert [node.id for node in left.nodes] == ["a", "b"]
    assert wires(left) == ["a.output > b.value"]
    assert len(drawn.nodes) == 3


def test_a_graph_without_nodes_of_the_editor_is_not_copied() -> None:
    plain = graph({"a": ("t.A", {}), "b": ("mine.Comment", {})}, "a.output > b.value")
    assert runnable(plain) is plain


def test_reroutes_in_a_row_with_several_targets_are_passed_through() -> None:
    drawn = graph(
        {"a": ("t.A", {}), "b": ("t.B", {}), "r": REROUTE, "s": REROUTE, "t": ("Reroute", {})},
        "t.output > b.third",
        "s.output > b.second",
        "s.output > t.input_value",
        "r.output > b.first",
        "r.output > s.input_value",
        "a.left > r.input_value",
    )
    assert wires(runnable(drawn)) == [
        "a.left > b.third",
        "a.left > b.second",
        "a.left > b.first",
    ]


def test_a_value_goes_on_through_a_preview() -> None:
    drawn = graph(
        {"a": ("t.A", {}), "b": ("t.B", {}), "p": ("nodetool.workflows.base_node.Preview", {})},
        "a.output > p.value",
        "p.output > b.value",
    )
    assert wires(runnable(drawn)) == ["a.output > b.value"]


@pytest.mark.parametrize("edges", [[], ["r.output > s.input_value", "s.output > r.input_value"]])
def test_a_reroute_without_an_origin_connects_nothing(edges: list[str]) -> None:
    drawn = graph(
        {"b": ("t.B", {}), "r": REROUTE, "s": REROUTE},
        *edges,
        "r.output > b.value",
        "s.output > b.other",
    )
    assert wires(runnable(drawn)) == []


def test_an_origin_that_does_not_exist_is_not_hidden() -> None:
    drawn = graph(
        {"b": ("t.B", {}), "r": REROUTE}, "nowhere.output > r.input_value", "r.output > b.value"
    )
    assert wires(runnable(drawn)) == ["nowhere.output > b.value"]


def test_null_in_a_graph_is_the_same_as_an_absent_field() -> None:
    node = {"id": "a", "type": "t.A", "parent_id": None, "ui_properties": None}
    saved = {"nodes": [{**node, "data": None, "dynamic_properties": None}], "edges": None}
    assert Graph.model_validate(saved) == graph({"a": ("t.A", {})})


def test_null_in_place_of_a_required_field_is_refused() -> None:
    edge = {"source": "a", "sourceHandle": None, "target": "b", "targetHandle": "x"}
    with pytest.raises(ValueError, match="sourceHandle"):
        Graph.model_validate({"nodes": [], "edges": [edge]})
