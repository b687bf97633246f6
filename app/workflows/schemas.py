"""Rows of workflows as they cross the wire."""

from __future__ import annotations

from app.workflows.graphs import input_schema, output_schema
from app.workflows.models import WorkflowRow, WorkflowVersionRow
from processing_context.wire.graph import Graph
from processing_context.wire.workflows import Access, Workflow, WorkflowVersion


def workflow_out(row: WorkflowRow) -> Workflow:
    """Return a workflow with the schemas of its params and its result."""
    graph = Graph.model_validate(row.graph)
    access: Access = "public" if row.access == "public" else "private"
    return Workflow(
        id=row.id,
        user_id=row.user_id,
        name=row.name,
        description=row.description,
        tags=row.tags,
        access=access,
        graph=graph,
        settings=row.settings,
        thumbnail_url=row.thumbnail_url,
        input_schema=input_schema(graph),
        output_schema=output_schema(graph),
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def version_out(row: WorkflowVersionRow) -> WorkflowVersion:
    """Return one version of a workflow."""
    return WorkflowVersion(
        workflow_id=row.workflow_id,
        version=row.version,
        name=row.name,
        description=row.description,
        graph=Graph.model_validate(row.graph),
        settings=row.settings,
        created_at=row.created_at,
    )
