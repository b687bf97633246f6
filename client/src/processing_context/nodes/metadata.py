"""Node catalogue for editors."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel

from processing_context.nodes.base import BaseNode
from processing_context.nodes.properties import OutputSlot, Property


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
