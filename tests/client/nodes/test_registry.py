from __future__ import annotations

from typing import ClassVar

import pytest

from processing_context.context import ProcessingContext
from processing_context.nodes import BaseNode, NodeRegistry
from processing_context.nodes.errors import NodeDefinitionError, UnknownNodeTypeError
from tests.support import samples

BUILT_IN = {
    "input": "AnyInput BooleanInput FloatInput ImageInput IntegerInput TextInput",
    "output": "AnyOutput ImageOutput NumberOutput TextOutput",
    "image": "Blend Blur Crop DrawText Grayscale Load Resize Rotate Save",
    "text": "Concat Template",
    "math": "Calculate",
    "control": "Fail If Merge Sleep",
}


class Impostor(BaseNode):
    namespace: ClassVar[str] = "image"

    async def process(self, context: ProcessingContext) -> None: ...


class OnGpu(BaseNode):
    required_capabilities = ("cuda",)

    async def process(self, context: ProcessingContext) -> None: ...


def test_built_in_nodes_come_by_their_entry_point() -> None:
    types = [f"{space}.{name}" for space, names in BUILT_IN.items() for name in names.split()]
    assert NodeRegistry.installed().types() == sorted(types)


def test_module_adds_its_nodes_once() -> None:
    registry = NodeRegistry.installed([samples.__name__, samples.__name__])
    assert registry.get("sample.Split") is samples.Split
    assert "sample.Sample" not in registry.types()


def test_unknown_type_suggests_what_is_near() -> None:
    with pytest.raises(UnknownNodeTypeError, match=r"'image\.Blurr'.*did you mean image\.Blur"):
        NodeRegistry.installed().get("image.Blurr")


def test_type_that_is_taken_is_refused() -> None:
    registry = NodeRegistry.installed()
    Impostor.__name__ = "Blur"
    with pytest.raises(NodeDefinitionError, match=r"image\.Blur is defined twice"):
        registry.add(Impostor)


def test_module_without_nodes_is_refused() -> None:
    with pytest.raises(NodeDefinitionError, match="json defines no nodes"):
        NodeRegistry().add_module("json")


def test_nodes_that_need_more_than_the_worker_has_are_not_offered() -> None:
    registry = NodeRegistry([OnGpu, samples.Split])
    assert registry.runnable_with(()).types() == ["sample.Split"]
    assert len(registry.runnable_with(("cuda", "avx"))) == 2
