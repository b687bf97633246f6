"""Checks of single nodes of a graph by descriptions of their types."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from processing_context.wire.graph import Node
from processing_context.wire.graph_problems import Problems, label, printable, shown
from processing_context.wire.nodes import NodeDescription
from processing_context.wire.refs import is_empty_ref
from processing_context.wire.value_checks import values_validator

PARAM = "value"
"""The property of input nodes that gets a param of the job."""


class CheckedNode:
    """A node of a graph with its edges.

    Args:
        node: The node.
        incoming: The edges into the node: their indexes by the handle.
        outgoing: The edges out of the node.
        has_param: Whether the property `value` gets its value from a param of the job.
    """

    __slots__ = ("_node", "given", "id", "incoming", "outgoing", "values")

    def __init__(
        self,
        node: Node,
        incoming: Mapping[str, int],
        outgoing: Mapping[str, int],
        *,
        has_param: bool = False,
    ) -> None:
        self.id = node.id
        self._node = node
        self.incoming = incoming
        self.outgoing = outgoing
        self.given: Collection[str] = {*incoming, PARAM} if has_param else incoming
        self.values = node.data
        if self.given:
            given = self.given
            self.values = {name: value for name, value in node.data.items() if name not in given}

    @property
    def label(self) -> str:
        """The name of the node in messages."""
        return label(self._node)

    @property
    def dynamic_properties(self) -> Collection[str]:
        """The names of the properties that only the graph defines."""
        return self._node.dynamic_properties


class NodeVersion:
    """One description of a node type, prepared for checks."""

    def __init__(self, description: NodeDescription) -> None:
        self.description = description
        self.inputs = {each.name: each.type for each in description.properties}
        self.outputs = {each.name: each.type for each in description.outputs}
        self._required = tuple(each.name for each in description.properties if each.required)
        self._validator = values_validator(description.properties)

    def check(self, node: CheckedNode, problems: Problems) -> None:
        """Add the problems of a node to `problems`."""
        if not self.inputs.keys() >= node.values.keys():
            self._check_names(node, problems)
        try:
            self._validator.validate_python(node.values)
        except ValidationError as error:
            _add_invalid(node, error, problems)
        for name in self._required:
            if name not in node.given and not is_given(node.values.get(name)):
                msg = f"{node.label}: {printable(name)} is required: connect it or set a value"
                problems.add("missing_input", [node.id], msg)
        for handle, index in node.incoming.items():
            if not self._has_input(node, handle):
                _add_unknown_handle(node, "input", handle, self.inputs, index, problems)
        for handle, index in node.outgoing.items():
            if handle not in self.outputs:
                _add_unknown_handle(node, "output", handle, self.outputs, index, problems)

    def _has_input(self, node: CheckedNode, handle: str) -> bool:
        if handle in self.inputs or self.description.is_dynamic:
            return True
        return self.description.is_dynamic is None and handle in node.dynamic_properties

    def _check_names(self, node: CheckedNode, problems: Problems) -> None:
        unknown = [name for name in node.values if name not in self.inputs]
        described = unknown[: problems.room]
        for name in described:
            if self.description.is_dynamic:
                hint = ": properties of the graph's own belong into dynamic_properties"
            else:
                hint = problems.hints.of(name, self.inputs)
            msg = f"{node.label}: unknown property {printable(name)}{hint}"
            problems.add("unknown_property", [node.id], msg)
        problems.count += len(unknown) - len(described)


def _add_invalid(node: CheckedNode, error: ValidationError, problems: Problems) -> None:
    if not problems.room:
        problems.count += error.error_count()
        return
    for each in error.errors(include_url=False, include_context=False):
        where = ".".join(printable(str(part)) for part in each["loc"])
        msg = f"{node.label}: {where}: {each['msg']}, not {shown(each['input'])}"
        problems.add("invalid_value", [node.id], msg)


def _add_unknown_handle(
    node: CheckedNode,
    side: str,
    handle: str,
    known: Collection[str],
    edge_index: int,
    problems: Problems,
) -> None:
    hint = problems.hints.of(handle, known) if problems.room else ""
    msg = f"{node.label} has no {side} {printable(handle)}{hint}"
    problems.add("unknown_handle", [node.id], msg, edge_index=edge_index)


def is_given(value: Any) -> bool:
    """Return False for null and for a ref without a file, which count as no value."""
    return value is not None and not is_empty_ref(value)
