"""Models of saved workflows."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from processing_context.wire.base import Name, Open, Reply, Request, Text, Timestamp, Update
from processing_context.wire.graph import Graph, GraphError

Access = Literal["private", "public"]
Tag = Annotated[Text, Field(min_length=1, max_length=100)]


class WorkflowCreate(Request):
    """A workflow to create, or its replacement in a PUT."""

    name: Name
    description: Text = ""
    tags: list[Tag] = []
    access: Access = "private"
    graph: Graph
    settings: dict[str, Any] = {}
    thumbnail_url: Text | None = None


class WorkflowUpdate(Update):
    """Changes to a workflow. Omitted fields keep their values."""

    nullable: ClassVar[frozenset[str]] = frozenset({"thumbnail_url"})

    name: Name | None = None
    description: Text | None = None
    tags: list[Tag] | None = None
    access: Access | None = None
    graph: Graph | None = None
    settings: dict[str, Any] | None = None
    thumbnail_url: Text | None = None


class WorkflowSummary(Reply):
    """A workflow in a list, without its graph."""

    id: str
    user_id: str
    name: str
    description: str
    tags: list[str]
    access: Access
    settings: dict[str, Any]
    thumbnail_url: str | None
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class Workflow(WorkflowSummary):
    """A workflow. The schemas are JSON Schemas, derived from the graph's input and output nodes.

    `warnings` are the problems of the graph by the node catalogue, as it is for the caller when the
    workflow is read. Except for types that no worker or only some have registered in this form,
    they keep the graph from running.
    """

    graph: Graph
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    warnings: list[GraphError] = []


class WorkflowList(Reply):
    """A page of workflows."""

    next: str | None
    workflows: list[WorkflowSummary]


class WorkflowVersion(Open):
    """An earlier version of a workflow."""

    workflow_id: str
    version: int
    name: str
    description: str
    graph: Graph
    settings: dict[str, Any]
    created_at: Timestamp


class WorkflowVersionList(Reply):
    """A page of versions, newest first."""

    next: str | None
    versions: list[WorkflowVersion]


class GraphCheckRequest(Request):
    """A graph to check."""

    graph: Graph


class GraphCheckResult(Reply):
    """The problems of a graph: those that keep it from running, and those that may.

    Each list has the first 100, and each count all of them.
    """

    errors: list[GraphError]
    warnings: list[GraphError]
    error_count: int
    warning_count: int
