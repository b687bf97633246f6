"""Validation of a graph and its params before a run."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from processing_context.nodes.base import BaseNode, InputNode, OutputNode
from processing_context.nodes.errors import GraphError, UnknownNodeTypeError
from processing_context.nodes.registry import NodeRegistry
from processing_context.nodes.runner.annotations import (
    SlotType,
    accepts_none,
    as_ref_class,
    is_any,
    problems,
    ref_class,
    shown,
)
from processing_context.wire.editor_nodes import runnable
from processing_context.wire.graph import Edge, Graph, Node
from processing_context.wire.graph_checks import unsorted_nodes
from processing_context.wire.refs import AssetRef, is_empty_ref


@dataclass(frozen=True, slots=True)
class Kind:
    """Properties that all nodes of a class share; determining them costs more than a small node."""

    node_class: type[BaseNode]
    node_type: str
    title: str
    fields: frozenset[str]
    refs: Mapping[str, type[AssetRef]]
    """The properties that accept one class of ref."""

    slots: Mapping[str, Any]
    """The outputs, with their annotations."""

    has_named_slots: bool
    is_streaming: bool
    is_output: bool
    is_dynamic: bool
    timeout_s: float | None
    slot_types: Mapping[str, SlotType]
    """The outputs whose values are checked."""

    not_nullable: frozenset[str]
    """The properties that do not accept None."""


@functools.cache
def kind_of(node_class: type[BaseNode]) -> Kind:
    """Return the properties that all nodes of a class share."""
    fields = node_class.model_fields
    refs = {name: ref_class(info.annotation) for name, info in fields.items()}
    slots = node_class.output_annotations()
    return Kind(
        node_class=node_class,
        node_type=node_class.get_node_type(),
        title=node_class.get_title(),
        fields=frozenset(fields),
        refs={name: wanted for name, wanted in refs.items() if wanted is not None},
        slots=slots,
        has_named_slots=node_class.has_named_slots(),
        is_streaming=node_class.is_streaming(),
        is_output=issubclass(node_class, OutputNode),
        is_dynamic=node_class.is_dynamic(),
        timeout_s=node_class.timeout_s,
        slot_types={
            name: SlotType(name, annotation)
            for name, annotation in slots.items()
            if not is_any(annotation)
        },
        not_nullable=frozenset(
            name for name, info in fields.items() if not accepts_none(info.annotation)
        ),
    )


@dataclass(slots=True)
class PlannedNode:
    """A node of a graph with its class, values and edges."""

    id: str
    kind: Kind
    values: dict[str, Any]
    dynamic: dict[str, Any]
    unknown: list[str]
    timeout_s: float | None
    incoming: list[Edge] = field(default_factory=list)
    outgoing: list[Edge] = field(default_factory=list)

    @property
    def node_class(self) -> type[BaseNode]:
        """The node class."""
        return self.kind.node_class

    @property
    def type(self) -> str:
        """The node type."""
        return self.kind.node_type

    @property
    def name(self) -> str:
        """Display name."""
        name = self.values.get("name")
        return name if isinstance(name, str) and name and "\0" not in name else self.kind.title

    @property
    def label(self) -> str:
        """Name of the node in error messages."""
        return f"{self.type} ({self.id})"

    @property
    def output_name(self) -> str | None:
        """Name of the job's result that the node produces, if any."""
        return self.values.get("name") if self.kind.is_output else None

    def is_skipped_with(self, inputs: Mapping[str, Any]) -> bool:
        """Return True if the node must not run, since some of its edges have no value.

        Args:
            inputs: The values of the other edges.
        """
        return not inputs or any(
            edge.targetHandle not in inputs and not self._has_default(edge.targetHandle)
            for edge in self.incoming
        )

    def _has_default(self, name: str) -> bool:
        """Return True if a property has a value without its edge, other than an empty ref."""
        if name in self.values or name not in self.kind.fields:
            return True
        info = self.node_class.model_fields[name]
        return not (info.is_required() or is_empty_ref(info.get_default(call_default_factory=True)))

    def build(self, inputs: Mapping[str, Any]) -> BaseNode:
        """Create the node from its own values and the values of its edges.

        Raises:
            GraphError: A value does not fit its property.
        """
        kind = self.kind
        values, dynamic = dict(self.values), dict(self.dynamic)
        for name, value in inputs.items():
            target = values if name in kind.fields else dynamic
            target[name] = value
        for name, wanted in kind.refs.items():
            if name in values:
                values[name] = as_ref_class(wanted, values[name])
        try:
            node = kind.node_class.model_validate(values)
        except ValidationError as error:
            raise GraphError(f"{self.label}: {problems(error)}", self.id) from error
        node._set_graph_values(self.id, dynamic, tuple(inputs))
        return node


class Plan:
    """All nodes of a graph, ready to run."""

    def __init__(self, graph: Graph, registry: NodeRegistry, params: Mapping[str, Any]) -> None:
        """Validate a graph and assign the params to its input nodes.

        Raises:
            GraphError: A type, handle or name is unknown, a param is missing or invalid, or the
                graph
                has a cycle.
        """
        graph = runnable(graph)
        self.nodes = {node.id: _planned(node, registry) for node in graph.nodes}
        if len(self.nodes) < len(graph.nodes):
            repeated = _duplicates(node.id for node in graph.nodes)
            raise GraphError(f"node ids must be unique; used more than once: {_listed(repeated)}")
        for edge in graph.edges:
            self._connect(edge)
        if unsorted := unsorted_nodes(graph):
            raise GraphError(f"the graph has a cycle through: {', '.join(sorted(unsorted))}")
        self._check_inputs()
        self._check_outputs()
        self._fill_inputs(params)

    def roots(self) -> list[PlannedNode]:
        """Return the nodes without incoming edges."""
        return [node for node in self.nodes.values() if not node.incoming]

    def _connect(self, edge: Edge) -> None:
        source, target = self._end(edge.source), self._end(edge.target)
        slots, fields = source.kind.slots, target.kind.fields
        if edge.sourceHandle not in slots:
            raise GraphError(
                f"{source.label} has no output {edge.sourceHandle!r}; it has: {_listed(slots)}",
                source.id,
            )
        if edge.targetHandle not in fields and not target.kind.is_dynamic:
            raise GraphError(
                f"{target.label} has no property {edge.targetHandle!r}; it has: {_listed(fields)}",
                target.id,
            )
        source.outgoing.append(edge)
        target.incoming.append(edge)

    def _end(self, node_id: str) -> PlannedNode:
        try:
            return self.nodes[node_id]
        except KeyError:
            raise GraphError(f"an edge names node {node_id!r}, which is not in the graph") from None

    def _check_inputs(self) -> None:
        for node in self.nodes.values():
            if len(node.incoming) < 2:
                continue
            if taken := _duplicates(edge.targetHandle for edge in node.incoming):
                raise GraphError(
                    f"{node.label}: several edges lead into: {_listed(taken)}", node.id
                )

    def _check_outputs(self) -> None:
        outputs = [node for node in self.nodes.values() if node.kind.is_output]
        for node in outputs:
            if not node.output_name or not isinstance(node.output_name, str):
                raise GraphError(f"{node.label} is an output node without a name", node.id)
        repeated = _duplicates(node.output_name for node in outputs)
        if repeated:
            raise GraphError(
                f"output names must be unique; used more than once: {_listed(repeated)}"
            )

    def _fill_inputs(self, params: Mapping[str, Any]) -> None:
        inputs = [node for node in self.nodes.values() if issubclass(node.node_class, InputNode)]
        names = {node.values.get("name") for node in inputs}
        unknown = [name for name in params if name not in names]
        if unknown:
            raise GraphError(
                f"no input node is named {_listed(unknown)};"
                f" the inputs are: {_listed(filter(None, names))}"
            )
        for node in inputs:
            name = str(node.values.get("name") or "")
            if name in params and _is_given(node.kind, "value", params[name]):
                node.values["value"] = params[name]
                _check_param(node)
            elif not node.incoming and node.values.get("value") is None:
                raise GraphError(
                    f"param {name!r} is required: {node.label} has no value of its own", node.id
                )


def _planned(node: Node, registry: NodeRegistry) -> PlannedNode:
    try:
        node_class = registry.get(node.type)
    except UnknownNodeTypeError as error:
        raise GraphError(f"{node.id}: {error}", node.id) from error
    kind = kind_of(node_class)
    values = {name: value for name, value in node.data.items() if _is_given(kind, name, value)}
    unknown = sorted(values.keys() - kind.fields) if values else []
    for name in unknown:
        del values[name]
    return PlannedNode(
        id=node.id,
        kind=kind,
        values=values,
        dynamic=node.dynamic_properties if kind.is_dynamic else {},
        unknown=unknown,
        timeout_s=_timeout_s(node, kind),
    )


def _timeout_s(node: Node, kind: Kind) -> float | None:
    given = node.model_extra.get("timeout_s") if node.model_extra else None
    if given is None:
        return kind.timeout_s
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if not (is_number and 0 < given < math.inf):
        raise GraphError(
            f"{node.id}: timeout_s must be a number over 0, not {shown(given)}", node.id
        )
    return float(given)


def _check_param(node: PlannedNode) -> None:
    try:
        node.build({})
    except GraphError as error:
        raise GraphError(f"param {node.values['name']!r}: {error}", node.id) from error


def _is_given(kind: Kind, name: str, value: Any) -> bool:
    """Return False for null and for an empty ref, as editors save them for an unset property."""
    if value is None:
        return name not in kind.not_nullable
    return not (isinstance(value, dict) and is_empty_ref(value))


def _duplicates(names: Iterable[Any]) -> list[Any]:
    return [name for name, count in Counter(names).items() if count > 1]


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(sorted(map(str, names))) or "none"
