"""Models of workflow graphs, in the form that node editors save."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationInfo,
    model_validator,
)

from processing_context.wire.base import Open, Reply, Text


def _null_as_empty(value: object) -> object:
    return {} if value is None else value


def _null_as_no_edges(value: object) -> object:
    return [] if value is None else value


Properties = Annotated[dict[str, Any], BeforeValidator(_null_as_empty)]
"""Properties by name; editors may save null for none."""


class Node(Open):
    """A node; `type` names its class, `data` holds its properties."""

    id: Annotated[Text, Field(min_length=1, max_length=1000)]
    type: Annotated[Text, Field(min_length=1, max_length=1000)]
    data: Properties = {}
    parent_id: str | None = None
    ui_properties: Properties = {}
    dynamic_properties: Properties = {}


class Edge(Open):
    """A connection from an output slot of a node to a property of another node."""

    model_config = ConfigDict(extra="allow")

    id: str | None = None
    source: str
    sourceHandle: str  # noqa: N815  # the name that saved workflow files use
    target: str
    targetHandle: str  # noqa: N815
    ui_properties: dict[str, Any] | None = None


class GraphLimits(NamedTuple):
    """The largest graph: its nodes, its edges, and its size as JSON in bytes."""

    nodes: int
    edges: int
    size: int


class Graph(Open):
    """A workflow graph: nodes and edges.

    With `GraphLimits` as the context of the validation, the nodes and edges of a graph that has too
    many are not validated, which would take seconds. The service refuses such graphs by number.
    """

    nodes: list[Node]
    edges: Annotated[list[Edge], BeforeValidator(_null_as_no_edges)] = []

    @model_validator(mode="wrap")
    @classmethod
    def _skip_oversized(
        cls, value: Any, handler: ModelWrapValidatorHandler[Graph], info: ValidationInfo
    ) -> Graph:
        if isinstance(value, dict) and isinstance(info.context, GraphLimits):
            nodes, edges = _list(value.get("nodes")), _list(value.get("edges"))
            if len(nodes) > info.context.nodes or len(edges) > info.context.edges:
                return cls.model_construct(nodes=nodes, edges=edges)
        return handler(value)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


ProblemType = Literal[
    "duplicate_node",
    "dangling_edge",
    "input_taken",
    "cycle",
    "too_many_nodes",
    "too_many_edges",
    "too_large",
    "unknown_property",
    "invalid_value",
    "missing_input",
    "unknown_handle",
    "type_mismatch",
    "unknown_node_type",
]


class GraphError(Reply):
    """A problem of a graph; `edge_index` is an index into `edges`, from 0, where an edge has it.

    `node_ids` has at most 100 ids.
    """

    type: ProblemType
    msg: str
    node_ids: list[str]
    edge_index: int | None = Field(default=None, exclude_if=lambda index: index is None)


@lru_cache(maxsize=4096)
def is_input_type(node_type: str) -> bool:
    """Return True for the type of an input node: `[…]input[…].<Kind>Input`."""
    *packages, name = node_type.split(".")
    return "input" in packages and name.endswith("Input")
