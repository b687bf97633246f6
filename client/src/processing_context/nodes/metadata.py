"""Node catalogue: metadata of node types for editors, and their descriptions for the service."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from processing_context.nodes.base import BaseNode
from processing_context.nodes.properties import OutputSlot, Property, TypeMetadata
from processing_context.wire.nodes import NodeDescription, NodeOutput, NodeProperty
from processing_context.wire.refs import is_empty_ref


class NodeMetadata(BaseModel):
    """Metadata of a node type."""

    node_type: str
    namespace: str
    title: str
    description: str
    properties: list[Property]
    outputs: list[OutputSlot]
    required_capabilities: list[str]
    is_dynamic: bool
    is_streaming: bool
    is_cacheable: bool

    @classmethod
    def of(cls, node: type[BaseNode]) -> NodeMetadata:
        """Return the metadata of a node class."""
        return cls(
            node_type=node.get_node_type(),
            namespace=node.get_namespace(),
            title=node.get_title(),
            description=node.get_description(),
            properties=node.properties(),
            outputs=node.outputs(),
            required_capabilities=list(node.required_capabilities),
            is_dynamic=node.is_dynamic(),
            is_streaming=node.is_streaming(),
            is_cacheable=node.is_cacheable(),
        )


class NodeCatalogue(BaseModel):
    """Metadata of all installed node types."""

    nodes: list[NodeMetadata]

    @classmethod
    def of(cls, nodes: Iterable[type[BaseNode]]) -> NodeCatalogue:
        """Return the catalogue of node classes."""
        return cls(nodes=[NodeMetadata.of(node) for node in nodes])


def describe(node: type[BaseNode]) -> NodeDescription:
    """Return the description of a node class for the catalogue of the service."""
    return NodeDescription(
        type=node.get_node_type(),
        title=node.get_title(),
        description=node.get_description(),
        properties=[_property(each) for each in node.properties()],
        outputs=[NodeOutput(name=each.name, type=str(each.type)) for each in node.outputs()],
        required_capabilities=list(node.required_capabilities),
        is_cacheable=node.is_cacheable(),
        is_dynamic=node.is_dynamic(),
    )


def _property(found: Property) -> NodeProperty:
    return NodeProperty(
        name=found.name,
        type=str(found.type),
        required=found.required,
        default=_default(found.default),
        title=found.title,
        description=found.description,
        minimum=_limit(found.min),
        maximum=_limit(found.max),
        values=_values(found.type),
    )


def _limit(limit: float | None) -> int | float | None:
    """Return a limit, as an integer where it is a whole number; None for an infinite one."""
    if limit is None or not math.isfinite(limit):
        return None
    return int(limit) if limit.is_integer() else limit


def _values(kind: TypeMetadata) -> list[str | int] | None:
    """Return the values of an enum that a property accepts by itself or in a union."""
    members = kind.type_args if kind.type == "union" else [kind]
    enums = [member.values for member in members if member.values is not None]
    return enums[0] if len(enums) == 1 else None


def _default(value: object) -> object:
    """Return a default in JSON form; None for an empty ref and for a value without such a form."""
    if is_empty_ref(value):
        return None
    return to_jsonable_python(value, bytes_mode="base64", inf_nan_mode="strings", fallback=_none)


def _none(_: object) -> None:
    """Replace a value without a JSON form."""
