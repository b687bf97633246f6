"""Conversion of workflows from rows to JSON objects for orjson.

`Workflow` and `WorkflowVersion` document the objects. Graphs and settings are copied into a
response as the stored JSON text: parsing and encoding them would cost more than the query.
"""

from __future__ import annotations

from typing import Any

import orjson

from app.workflows.graph_schemas import input_schema, output_schema
from app.workflows.queries import ListedWorkflow, VersionRecord, WorkflowRecord
from processing_context.wire.graph import Graph


def workflow_fields(workflow: WorkflowRecord, graph: Graph) -> dict[str, Any]:
    """Return the fields of a `Workflow`, with the schemas of its params and its result."""
    return {
        **workflow._asdict(),
        **_json_texts(workflow),
        "input_schema": input_schema(graph.nodes),
        "output_schema": output_schema(graph.nodes),
    }


def listed_fields(workflow: ListedWorkflow) -> dict[str, Any]:
    """Return the fields of a `Workflow` in a list."""
    return {**workflow._asdict(), "settings": orjson.Fragment(workflow.settings)}


def version_fields(version: VersionRecord) -> dict[str, Any]:
    """Return the fields of a `WorkflowVersion`."""
    return {**version._asdict(), **_json_texts(version)}


def _json_texts(row: WorkflowRecord | VersionRecord) -> dict[str, Any]:
    return {"graph": orjson.Fragment(row.graph), "settings": orjson.Fragment(row.settings)}
