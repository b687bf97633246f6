"""Routes under `/v1/workflows`: saved workflows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processing_context._arguments import given
from processing_context._transport.api import segment
from processing_context.resources.jobs import NO_PARAMS, JobMethods
from processing_context.wire.graph import Graph
from processing_context.wire.jobs import RunJobRequest
from processing_context.wire.workflows import (
    GraphCheckRequest,
    GraphCheckResult,
    Workflow,
    WorkflowCreate,
    WorkflowList,
)


class WorkflowMethods(JobMethods):
    """Saved workflows and runs of them."""

    async def create_workflow(self, workflow: WorkflowCreate | Mapping[str, Any]) -> Workflow:
        """Save a workflow."""
        body = WorkflowCreate.model_validate(workflow)
        return await self._core.api.post("/v1/workflows", Workflow, body=body, creates=True)

    async def get_workflow(self, workflow_id: str) -> Workflow:
        """Return a saved workflow."""
        path = f"/v1/workflows/{segment(workflow_id, 'workflow_id')}"
        return await self._core.api.get(path, Workflow)

    async def check_graph(self, graph: Graph | Mapping[str, Any]) -> GraphCheckResult:
        """Return the problems that a graph has by the nodes of the user's workers.

        Raises:
            ValidationError: The structure of the graph is invalid.
        """
        body = GraphCheckRequest(graph=Graph.model_validate(graph))
        return await self._core.api.post("/v1/workflows/check", GraphCheckResult, body=body)

    async def list_workflows(self, **filters: Any) -> WorkflowList:
        """Return a page of workflows; filters `q, tag, access, page_size, cursor`."""
        return await self._core.api.get("/v1/workflows", WorkflowList, params=filters)

    async def run_workflow(
        self, workflow_id: str, params: Mapping[str, Any] = NO_PARAMS
    ) -> dict[str, Any]:
        """Run a saved workflow; see `run_worker`."""
        request = RunJobRequest(workflow_id=given(workflow_id, "workflow_id"))
        return await self.run_worker(request, params)
