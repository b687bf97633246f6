"""Models of the node catalogue: descriptions of node types that workers register."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from processing_context.wire.base import Reply, Text
from processing_context.wire.jobs import Capability

NodeType = Annotated[Text, Field(min_length=1, max_length=1000)]
_Label = Annotated[Text, Field(max_length=1000)]
_Prose = Annotated[Text, Field(max_length=20_000)]
_Number = Annotated[int, Field(strict=True)] | float
_Value = Annotated[int, Field(strict=True)] | float | str | bool | None


def _is_none(value: object) -> bool:
    return value is None


class NodeProperty(Reply):
    """A property of a node type.

    `type` is a type expression: `int`, `float`, `str`, `bool`, `enum` (with `values`), `any`, the
    `type` of a ref such as `image`, `list[str]`, `dict[str, int]`, `int | none`.
    """

    name: NodeType
    type: _Label = "any"
    required: bool = False
    default: Any = None
    title: _Label | None = None
    description: _Prose | None = None
    minimum: Annotated[_Number | None, Field(exclude_if=_is_none)] = None
    maximum: Annotated[_Number | None, Field(exclude_if=_is_none)] = None
    values: Annotated[
        Annotated[list[_Value], Field(max_length=10_000)] | None, Field(exclude_if=_is_none)
    ] = None


class NodeOutput(Reply):
    """An output of a node type; `type` is a type expression."""

    name: NodeType
    type: _Label = "any"


class NodeDescription(Reply):
    """A node type.

    `is_dynamic`: it accepts properties that only the graph defines (null: unknown). `versions` is
    the number of different descriptions that workers have registered; this one is the newest.
    """

    type: NodeType
    title: _Label = ""
    description: _Prose = ""
    properties: Annotated[list[NodeProperty], Field(max_length=1000)] = []
    outputs: Annotated[list[NodeOutput], Field(max_length=1000)] = []
    required_capabilities: Annotated[list[Capability], Field(max_length=1000)] = []
    is_cacheable: bool = True
    is_dynamic: bool | None = None
    versions: Annotated[int, Field(ge=0)] = 1


class WorkerCatalogue(Reply):
    """The node types of a worker; each type appears once."""

    nodes: list[NodeDescription]

    @model_validator(mode="after")
    def _unique_types(self) -> Self:
        repeated = [
            name for name, count in Counter(node.type for node in self.nodes).items() if count > 1
        ]
        if repeated:
            raise ValueError(f"nodes has several entries of the type {repeated[0]!r}")
        return self


class NodeList(Reply):
    """A page of node types, in the order of `type`."""

    next: str | None
    nodes: list[NodeDescription]
