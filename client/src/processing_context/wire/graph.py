"""Models of workflow graphs, in the form that node editors save."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from processing_context.wire.base import Open, Reply, Text


class Node(Open):
    """A node; `type` names its class, `data` holds its properties."""

    id: Annotated[Text, Field(min_length=1, max_length=1000)]
    type: Annotated[Text, Field(min_length=1, max_length=1000)]
    data: dict[str, Any] = {}
    parent_id: str | None = None
    ui_properties: dict[str, Any] = {}
    dynamic_properties: dict[str, Any] = {}


class Edge(Open):
    """A connection from an output slot of a node to a property of another node."""

    model_config = ConfigDict(extra="allow")

    id: str | None = None
    source: str
    sourceHandle: str  # noqa: N815  # the name that saved workflow files use
    target: str
    targetHandle: str  # noqa: N815
    ui_properties: dict[str, Any] | None = None


class Graph(Open):
    """A workflow graph: nodes and edges."""

    nodes: list[Node]
    edges: list[Edge] = []


class GraphError(Reply):
    """An error in a graph; `edge_index` is an index into `edges`, from 0."""

    type: Literal["duplicate_node", "dangling_edge", "input_taken", "cycle"]
    msg: str
    node_ids: list[str]
    edge_index: int | None = None
