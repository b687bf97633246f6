# ruff: noqa: ARG002  # every node receives a context

from __future__ import annotations

import pytest

from processing_context.context import ProcessingContext
from processing_context.nodes import BaseNode, NodeCatalogue, Property
from processing_context.nodes.errors import NodeDefinitionError
from processing_context.wire.refs import ImageRef
from tests.support import samples


def named(name: str) -> Property:
    return {found.name: found for found in samples.Everything.properties()}[name]


class Plain(BaseNode):
    """A node without a namespace of its own."""

    async def process(self, context: ProcessingContext) -> ImageRef:
        return ImageRef()


class HTTPGet(Plain):
    """A node whose name contains an abbreviation."""


class Unreadable(BaseNode):
    async def process(self, context: ProcessingContext) -> NotThere:  # type: ignore[name-defined]  # noqa: F821
        return None


def test_type_is_namespace_and_class_name() -> None:
    assert samples.Everything.get_node_type() == "sample.Everything"
    assert Plain.get_node_type() == f"{__name__}.Plain"


def test_title_and_description_come_from_the_class() -> None:
    assert samples.InThread.get_title() == "In Thread"
    assert HTTPGet.get_title() == "HTTP Get"
    assert samples.Everything.get_description() == "All kinds of properties."


def test_properties_have_type_default_title_and_limits() -> None:
    radius = named("radius")
    assert (radius.type.type, radius.default, radius.min, radius.max) == ("float", 2.0, 0, 64)
    assert (radius.title, radius.description) == ("Blur radius", "In pixels.")
    assert named("image").type.type == "image"
    assert named("color").type.values == ["red", "blue"]
    assert named("mode").type.values == ["fast", "good"]
    assert [inner.type for inner in named("names").type.type_args] == ["str"]
    assert (named("limit").type.type, named("limit").type.optional) == ("int", True)
    assert [inner.type for inner in named("either").type.type_args] == ["int", "str"]
    assert (named("needed").required, named("radius").required) == (True, False)


def test_outputs_come_from_the_return_annotation() -> None:
    assert [(slot.name, slot.type.type) for slot in Plain.outputs()] == [("output", "image")]
    assert [slot.name for slot in samples.Split.outputs()] == ["left", "right"]
    assert samples.Exits.outputs() == []


def test_outputs_of_a_generator_are_what_it_yields() -> None:
    assert [(slot.type.type, slot.stream) for slot in samples.Words.outputs()] == [("str", True)]
    assert [slot.name for slot in samples.Counting.outputs()] == ["left", "right"]


def test_unreadable_return_annotation_names_the_node() -> None:
    with pytest.raises(NodeDefinitionError, match=r"Unreadable.*NotThere"):
        Unreadable.outputs()


def test_catalogue_is_json_with_defaults() -> None:
    catalogue = NodeCatalogue.of([samples.Everything])
    found = NodeCatalogue.model_validate_json(catalogue.model_dump_json()).nodes[0]
    assert found.node_type == "sample.Everything"
    assert {prop.name: prop.default for prop in found.properties}["color"] == "red"
