"""JSON Schemas for the params and the result of a graph, from its input and output nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from processing_context.wire.graph import Node
from processing_context.wire.refs import (
    AssetRef,
    AudioRef,
    DataframeRef,
    DocumentRef,
    FolderRef,
    ImageRef,
    ModelRef,
    VideoRef,
    is_empty_ref,
)

_JSON_TYPES: dict[str, dict[str, Any]] = {
    "Integer": {"type": "integer"},
    "Float": {"type": "number"},
    "Number": {"type": "number"},
    "Boolean": {"type": "boolean"},
    "Text": {"type": "string"},
    "String": {"type": "string"},
    "List": {"type": "array"},
    "Dict": {"type": "object"},
}
_REFS = {
    "Image": ImageRef,
    "Audio": AudioRef,
    "Video": VideoRef,
    "Document": DocumentRef,
    "Folder": FolderRef,
    "Dataframe": DataframeRef,
    "Model": ModelRef,
    "Asset": AssetRef,
}


def _schema_of(kind: str) -> dict[str, Any]:
    if kind in _JSON_TYPES:
        return dict(_JSON_TYPES[kind])
    if kind in _REFS:
        return {
            "type": "object",
            "description": f"A reference to a file ({kind.lower()}).",
            "properties": {
                "type": {"const": _REFS[kind].model_fields["type"].default},
                "asset_id": {"type": ["string", "null"]},
                "uri": {"type": "string"},
            },
            "required": ["type"],
        }
    return {}


def _named(
    nodes: Iterable[Node], namespace: str, suffix: str
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (name, Kind, data) of the nodes of the type `[…]<namespace>.<Kind><suffix>`."""
    for node in nodes:
        *packages, cls = node.type.split(".")
        if namespace in packages and cls.endswith(suffix):
            name = node.data.get("name")
            yield (
                name if isinstance(name, str) and name else node.id,
                cls.removesuffix(suffix),
                node.data,
            )


def input_schema(nodes: Iterable[Node]) -> dict[str, Any]:
    """Return the JSON Schema of a job's params; values of the input nodes are its defaults."""
    properties: dict[str, Any] = {}
    required: dict[str, None] = {}
    for name, kind, data in _named(nodes, "input", "Input"):
        properties[name] = _schema_of(kind)
        if description := data.get("description"):
            properties[name]["description"] = description
        value = data.get("value")
        if value is None or is_empty_ref(value):
            required[name] = None
        else:
            properties[name]["default"] = value
    return {"type": "object", "properties": properties, "required": list(required)}


def output_schema(nodes: Iterable[Node]) -> dict[str, Any]:
    """Return the JSON Schema of a job's result."""
    properties = {name: _schema_of(kind) for name, kind, _ in _named(nodes, "output", "Output")}
    return {"type": "object", "properties": properties}
