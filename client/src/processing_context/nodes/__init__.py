"""Nodes: base class, registry and metadata."""

from processing_context.nodes.base import BaseNode, InputNode, OutputNode
from processing_context.nodes.metadata import NodeCatalogue, NodeMetadata
from processing_context.nodes.properties import OutputSlot, Property, TypeMetadata
from processing_context.nodes.registry import NodeRegistry

__all__ = [
    "BaseNode",
    "InputNode",
    "NodeCatalogue",
    "NodeMetadata",
    "NodeRegistry",
    "OutputNode",
    "OutputSlot",
    "Property",
    "TypeMetadata",
]
