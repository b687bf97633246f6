"""Saved workflows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processing_context._transport.api import Http, segment
from processing_context.wire.workflows import Workflow, WorkflowCreate, WorkflowList


class Workflows:
    """The routes under `/v1/workflows`."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def find(self, workflow_id: str) -> Workflow:
        """Return one workflow."""
        path = f"/v1/workflows/{segment(workflow_id, 'workflow_id')}"
        return await self._http.get(path, Workflow)

    async def create(self, workflow: WorkflowCreate | Mapping[str, Any]) -> Workflow:
        """Save a new workflow."""
        body = WorkflowCreate.model_validate(workflow)
        return await self._http.post("/v1/workflows", Workflow, body=body, creates=True)

    async def page(self, **filters: Any) -> WorkflowList:
        """Return one page; the filters are the route's query parameters."""
        return await self._http.get("/v1/workflows", WorkflowList, params=filters)
