"""Checks of graphs by descriptions of node types."""

from __future__ import annotations

from typing import Any

import pytest

from processing_context.nodes.metadata import describe
from processing_context.nodes.registry import NodeRegistry
from processing_context.wire.catalogue_checks import CatalogueCheck
from processing_context.wire.graph import Graph
from processing_context.wire.node_checks import NodeVersion
from processing_context.wire.nodes import NodeDescription

NODE: dict[str, Any] = {
    "type": "test.Node",
    "properties": [
        {"name": "width", "type": "int", "minimum": 1, "maximum": 100},
        {"name": "scale", "type": "float | none", "minimum": 0},
        {"name": "mode", "type": "enum", "values": ["fast", "good"]},
        {"name": "image", "type": "image"},
        {"name": "images", "type": "list[image]"},
        {"name": "sizes", "type": "list[int]"},
        {"name": "either", "type": "int | str"},
        {"name": "flag", "type": "bool"},
        {"name": "names", "type": "dict[str, int]"},
        {"name": "anything", "type": "mystery"},
    ],
    "outputs": [{"name": "output", "type": "image"}, {"name": "count", "type": "int"}],
}
NEEDY: dict[str, Any] = {
    "type": "test.Needy",
    "properties": [{"name": "image", "type": "image", "required": True}],
    "outputs": [],
}


def described(*nodes: dict[str, Any]) -> dict[str, list[NodeVersion]]:
    """Return the versions of node types; several descriptions of a type are several versions."""
    found: dict[str, list[NodeVersion]] = {}
    for node in nodes:
        version = NodeVersion(NodeDescription.model_validate(node))
        found.setdefault(version.description.type, []).append(version)
    return found


def graph(nodes: dict[str, dict[str, Any]], *edges: str) -> Graph:
    """Return a graph of nodes `{id: fields}` and edges `a.output > b.value`."""
    wires = []
    for edge in edges:
        (source, out), (target, into) = (end.strip().split(".") for end in edge.split(">"))
        wires.append(
            {"source": source, "sourceHandle": out, "target": target, "targetHandle": into}
        )
    listed = [{"id": name, "type": "test.Node", **fields} for name, fields in nodes.items()]
    return Graph.model_validate({"nodes": listed, "edges": wires})


def errors(checked: Graph, *nodes: dict[str, Any], params: Any = ()) -> list[tuple[str, str]]:
    """Return the type and message of each error; nothing may be a warning."""
    found = CatalogueCheck(checked, described(*(nodes or (NODE, NEEDY))), params)
    assert found.warnings.first == []
    assert found.errors.count == len(found.errors.first)
    return [(each.type, each.msg) for each in found.errors.first]


def test_a_misspelt_property_names_the_right_one() -> None:
    [(kind, msg)] = errors(graph({"a": {"data": {"widht": 5}}}))
    assert kind == "unknown_property"
    assert msg == "test.Node (a): unknown property widht: did you mean width?"


def test_an_unknown_property_lists_the_known_ones() -> None:
    [(_, msg)] = errors(graph({"a": {"data": {"zzz": 5}}}))
    assert "known: width, scale, mode, image" in msg


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("width", 0, "width: Input should be greater than or equal to 1, not 0"),
        ("width", 101, "less than or equal to 100, not 101"),
        ("width", 1.5, "not 1.5"),
        ("width", "wide", "not 'wide'"),
        ("width", [1], "not a value of type list"),
        ("scale", -0.5, "greater than or equal to 0"),
        ("mode", "slow", "Input should be one of 'fast', 'good', not 'slow'"),
        ("image", "cat.png", "reference to a file"),
        ("image", {"type": "audio", "asset_id": "a"}, "reference of the type 'image'"),
        ("images", [{"type": "audio", "asset_id": "a"}], "images.0: "),
        ("sizes", [1, "x"], "sizes.1: "),
        ("sizes", {"a": 1}, "valid list"),
        ("either", [1], "Input should be int or str"),
        ("flag", "perhaps", "valid boolean"),
        ("names", [1], "valid dict"),
    ],
)
def test_a_value_that_a_runner_would_refuse_is_named(name: str, value: Any, says: str) -> None:
    [(kind, msg)] = errors(graph({"a": {"data": {name: value}}}))
    assert kind == "invalid_value"
    assert says in msg


@pytest.mark.parametrize(
    "data",
    [
        {"width": "5", "scale": 1, "either": "x", "flag": "yes"},  # converted by a runner
        {"width": 5.0, "anything": [{}], "names": {}},
        {"width": None, "image": None, "sizes": None, "mode": None},
        {"image": {"type": "image", "uri": "", "asset_id": None}},
        {"image": {"type": "asset", "asset_id": "a"}},
        {"image": {"type": "audio", "uri": ""}},  # an empty ref is no value
        {"images": [{"type": "image", "uri": "https://example.org/a.png"}]},
    ],
)
def test_what_a_runner_takes_is_not_refused(data: dict[str, Any]) -> None:
    assert errors(graph({"a": {"data": data}})) == []


@pytest.mark.parametrize("data", [{}, {"image": None}, {"image": {"type": "image", "uri": ""}}])
def test_a_required_input_without_a_value_is_missing(data: dict[str, Any]) -> None:
    [(kind, msg)] = errors(graph({"a": {"type": "test.Needy", "data": data}}))
    assert kind == "missing_input"
    assert msg == "test.Needy (a): image is required: connect it or set a value"


def test_an_input_with_an_edge_is_given_and_its_own_value_does_not_count() -> None:
    nodes: Any = {"a": {}, "b": {"type": "test.Needy"}, "c": {"data": {"width": "wide"}}}
    assert errors(graph(nodes, "a.output > b.image", "a.count > c.width")) == []


def test_unknown_handles_are_named_on_both_sides() -> None:
    found = CatalogueCheck(
        graph({"a": {}, "b": {}}, "a.outptu > b.imgae"), described(NODE)
    ).errors.first
    assert [each.type for each in found] == ["unknown_handle", "unknown_handle"]
    assert found[0].msg == "test.Node (a) has no output outptu: did you mean output?"
    assert found[1].msg == "test.Node (b) has no input imgae: did you mean image?"
    assert [(each.node_ids, each.edge_index) for each in found] == [(["a"], 0), (["b"], 0)]


def test_types_that_never_fit_are_a_mismatch() -> None:
    [found] = CatalogueCheck(
        graph({"a": {}, "b": {}}, "a.output > b.width"), described(NODE)
    ).errors.first
    assert (found.type, found.node_ids, found.edge_index) == ("type_mismatch", ["a", "b"], 0)
    assert "output output (image) of test.Node (a)" in found.msg
    assert "input width (int) of test.Node (b)" in found.msg


def test_dynamic_properties_count() -> None:
    dynamic = {**NODE, "is_dynamic": True}
    nodes: Any = {"a": {}, "b": {"dynamic_properties": {"extra": 1}}}
    connected = graph(nodes, "a.output > b.more", "a.output > b.extra")
    assert errors(connected, dynamic) == []
    # Without a statement about it, the properties that the graph defines count.
    [(kind, msg)] = errors(connected, NODE)
    assert (kind, "no input more" in msg) == ("unknown_handle", True)
    assert len(errors(connected, {**NODE, "is_dynamic": False})) == 2
    [(_, msg)] = errors(graph({"a": {"data": {"extra": 1}}}), dynamic)
    assert "dynamic_properties" in msg


def test_params_stand_for_the_values_of_input_nodes() -> None:
    node = {
        "type": "my.input.CityInput",
        "properties": [
            {"name": "name", "type": "str"},
            {"name": "value", "type": "str", "required": True},
        ],
    }
    fields = {"type": "my.input.CityInput", "data": {"name": "city", "value": 5}}
    assert errors(graph({"a": fields}), node, params=("city",)) == []
    assert errors(graph({"a": {**fields, "data": {"name": "city"}}}), node) == []
    assert [kind for kind, _ in errors(graph({"a": fields}), node)] == ["invalid_value"]


def test_an_unknown_type_is_one_warning_for_all_its_nodes() -> None:
    nodes: Any = {"a": {"type": "x.New"}, "b": {}, "c": {"type": "x.New", "data": {"any": 1}}}
    found = CatalogueCheck(graph(nodes, "a.output > b.image"), described(NODE))
    assert found.errors.count == 0
    [warning] = found.warnings.first
    assert (warning.type, warning.node_ids) == ("unknown_node_type", ["a", "c"])
    assert "x.New" in warning.msg


def test_nodes_for_the_editor_alone_are_left_out() -> None:
    nodes: Any = {
        "note": {"type": "nodetool.workflows.base_node.Comment", "data": {"headline": "x"}},
        "a": {},
        "way": {"type": "control.Reroute"},
        "b": {},
    }
    connected = graph(nodes, "a.output > way.input", "way.output > b.width", "a.count > b.sizes")
    found = CatalogueCheck(connected, described(NODE))
    assert found.warnings.first == []
    # Through the reroute; the index is that of the edge in the graph.
    ends = [(each.type, each.node_ids, each.edge_index) for each in found.errors.first]
    assert ends == [("type_mismatch", ["a", "b"], 1), ("type_mismatch", ["a", "b"], 2)]


WIDE = {**NODE, "properties": [{"name": "breadth", "type": "int"}]}
"""Another version of the node."""


def test_a_node_that_only_some_versions_refuse_is_warned_about() -> None:
    found = CatalogueCheck(graph({"a": {"data": {"breadth": 5}}}), described(NODE, WIDE))
    assert found.errors.count == 0
    [warning] = found.warnings.first
    assert warning.type == "unknown_property"
    assert "by some of the descriptions" in warning.msg


def test_a_node_that_every_version_refuses_is_an_error() -> None:
    found = CatalogueCheck(graph({"a": {"data": {"widht": 5}}}), described(NODE, WIDE))
    assert found.warnings.count == 0
    [error] = found.errors.first
    assert "did you mean width?" in error.msg  # by the newest version


def test_a_mismatch_with_only_some_versions_is_a_warning() -> None:
    other = {**NODE, "outputs": [{"name": "output", "type": "int"}, {"name": "count"}]}
    needy = described(NODE, other, NEEDY)
    connected = graph({"a": {}, "b": {"type": "test.Needy"}}, "a.output > b.image")
    found = CatalogueCheck(connected, needy)
    assert (found.errors.count, [each.type for each in found.warnings.first]) == (
        0,
        ["type_mismatch"],
    )
    both = CatalogueCheck(
        graph({"a": {}, "b": {}}, "a.count > b.image"), described(NODE, {**NODE, "title": "B"})
    )
    assert [each.type for each in both.errors.first] == ["type_mismatch"]


def test_only_the_first_hundred_problems_are_described() -> None:
    many = {f"n{number}": {"data": {"width": "x", "zzz": 1}} for number in range(300)}
    found = CatalogueCheck(graph(many), described(NODE))
    assert len(found.errors.first) == 100
    assert found.errors.count == 600
    data = {f"p{number}": 1 for number in range(1000)}
    assert CatalogueCheck(graph({"a": {"data": data}}), described(NODE)).errors.count == 1000


def test_hostile_names_are_shortened_and_escaped() -> None:
    [(_, long), (_, control)] = errors(graph({"a": {"data": {"x" * 10_000: 1, "\x1b[31m": 1}}}))
    assert len(long) < 500
    assert "\x1b" not in control


@pytest.mark.parametrize("text", ["", "[", "list[", "list[]", "a b", "|", "int |", "list[int]]"])
def test_a_malformed_type_accepts_every_value(text: str) -> None:
    node = {**NODE, "properties": [{"name": "value", "type": text}]}
    assert errors(graph({"a": {"data": {"value": [object]}}}), node) == []


def test_the_descriptions_of_the_built_in_nodes_accept_their_own_defaults() -> None:
    for node in NodeRegistry.installed():
        description = describe(node)
        version = {description.type: [NodeVersion(description)]}
        data = {each.name: each.default for each in description.properties if not each.required}
        inputs = {each.name for each in description.properties if each.required}
        found = CatalogueCheck(
            graph({"a": {"type": description.type, "data": data}}), version
        ).errors.first
        assert {each.type for each in found} <= {"missing_input"}
        assert len(found) == len(inputs)
