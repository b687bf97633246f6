"""Validation of a job's params by the input schema of its graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.http.problems import validation_problem
from app.workflows.graph_schemas import input_schema
from processing_context.wire.graph import Graph, is_input_type
from processing_context.wire.graph_problems import printable, shown
from processing_context.wire.refs import AssetRef

_ANY_REF = AssetRef.ref_type
_TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int, float),
    "number": (int, float),
    "boolean": (bool,),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}
_NAMES = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "string": "a string",
    "array": "a list",
    "object": "an object",
}


def check_params(graph: Graph, params: Mapping[str, Any]) -> None:
    """Check that params fit the input nodes of a graph; other params are left to the runner.

    Raises:
        ValidationFailed: Some do not; `errors` names each.
    """
    nodes = [node for node in graph.nodes if is_input_type(node.type)]
    if nodes and (errors := list(_errors(input_schema(nodes), graph, params))):
        raise validation_problem(errors)


def _errors(
    schema: Mapping[str, Any], graph: Graph, params: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    for name, wanted in schema["properties"].items():
        if name in params and (problem := _mismatch(wanted, params[name])) is not None:
            msg = f"param {printable(name)} must be {problem}, not {shown(params[name])}"
            yield {"loc": ("body", "params", name), "msg": msg, "type": "invalid_param"}
    missing = [name for name in schema["required"] if name not in params]
    if missing:
        connected = _connected_names(graph)
        for name in missing:
            if name not in connected:
                msg = f"param {printable(name)} is required: its input node has no value of its own"
                yield {"loc": ("body", "params", name), "msg": msg, "type": "missing"}


def _mismatch(schema: Mapping[str, Any], value: Any) -> str | None:
    """Return what a value must be by its schema; None if it fits."""
    kind = schema.get("type")
    if kind is None:
        return None
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return _NAMES[kind]
    if kind == "integer" and isinstance(value, float) and not value.is_integer():
        return _NAMES[kind]
    ref = schema.get("properties", {}).get("type", {}).get("const")
    if ref is not None and isinstance(value, dict) and value.get("type") not in (ref, _ANY_REF):
        return f"a reference of the type {ref}"
    return None


def _connected_names(graph: Graph) -> set[str]:
    """Return the names of the nodes that get their value by an edge."""
    targets = {edge.target for edge in graph.edges if edge.targetHandle == "value"}
    names = [node.data.get("name") or node.id for node in graph.nodes if node.id in targets]
    return {name for name in names if isinstance(name, str)}
