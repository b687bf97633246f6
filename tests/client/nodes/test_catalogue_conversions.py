"""The types that the catalogue calls incompatible are those that the runner cannot convert."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import pytest

from processing_context.context import ProcessingContext
from processing_context.nodes import BaseNode, NodeRegistry, TypeMetadata
from processing_context.nodes.errors import GraphError
from processing_context.nodes.runner.plan import Plan
from processing_context.wire.graph import Graph
from processing_context.wire.refs import AssetRef, AudioRef, DataframeRef, ImageRef, TextRef
from processing_context.wire.type_expressions import never_fits

VALUES: dict[Any, list[Any]] = {
    str: ["", "1", "true", "fast", "[]", "{}"],
    int: [0, 1, -7],
    float: [0.0, 1.0, 2.5],
    bool: [True, False],
    list[str]: [[], ["1"]],
    list[int]: [[], [1]],
    tuple[int, int]: [(1, 2)],
    dict[str, int]: [{}, {"a": 1}],
    Literal["fast", "good"]: ["fast"],
    ImageRef: [ImageRef(asset_id="a"), ImageRef(data=b"x")],
    AudioRef: [AudioRef(asset_id="a")],
    TextRef: [TextRef(asset_id="a")],
    DataframeRef: [DataframeRef(columns=["a"], data=[[1]])],
    AssetRef: [AssetRef(asset_id="a")],
    int | str: [1, "1"],
    ImageRef | None: [ImageRef(asset_id="a"), None],
    int | None: [1, None],
    Any: [object(), 1, "x"],
}


def target_of(annotation: Any) -> type[BaseNode]:
    """Return a node class with a property of this type."""

    class Target(BaseNode):
        namespace: ClassVar[str] = "conversions"

        value: annotation

        async def process(self, context: ProcessingContext) -> None: ...

    return Target


def converts(node: type[BaseNode], value: Any) -> bool:
    """Return True if the runner passes the value of an edge to the node."""
    graph = Graph.model_validate(
        {"nodes": [{"id": "a", "type": node.get_node_type(), "data": {}}], "edges": []}
    )
    try:
        Plan(graph, NodeRegistry([node]), {}).nodes["a"].build({"value": value})
    except GraphError:
        return False
    return True


def pairs() -> Iterator[tuple[Any, Any]]:
    for source in VALUES:
        for target in VALUES:
            yield source, target


def name(annotation: Any) -> str:
    return str(TypeMetadata.of(annotation))


@pytest.mark.parametrize("target", VALUES, ids=name)
def test_no_value_of_an_incompatible_type_can_be_converted(target: Any) -> None:
    node = target_of(target)
    assert all(converts(node, value) for value in VALUES[target])
    for source, values in VALUES.items():
        if never_fits(name(source), name(target)):
            assert not any(converts(node, value) for value in values), (source, target)


def test_incompatible_types_are_found() -> None:
    found = {(name(a), name(b)) for a, b in pairs() if never_fits(name(a), name(b))}
    assert {
        ("str", "image"),
        ("image", "str"),
        ("image", "audio"),
        ("int", "str"),
        ("int", "image"),
        ("list[str]", "int"),
        ("list[str]", "dict[str, int]"),
        ("dict[str, int]", "list[int]"),
        ("image", "enum"),
    } <= found
    assert (
        not {
            ("str", "int"),
            ("int", "float"),
            ("asset", "image"),
            ("image", "asset"),
            ("image | none", "str"),
            ("int | str", "str"),
            ("any", "image"),
            ("dict[str, int]", "image"),
        }
        & found
    )
