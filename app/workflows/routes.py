"""Routes of workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Response

from app.http.auth import PrincipalDep
from app.http.dependencies import Injected
from app.http.etags import IfMatch
from app.http.idempotency.dependencies import IdempotencyKeyDep, replayed
from app.http.json_threads import JsonThreads
from app.http.pagination import Cursor, EmptyAsAbsent, PageDep, PageSize, list_response
from app.http.responses import json_response
from app.http.routing import SecuredRoute
from app.workflows import service
from app.workflows.schemas import listed_fields, version_fields, workflow_fields
from app.workflows.service import WorkflowService
from processing_context.wire.base import Text
from processing_context.wire.workflows import (
    Access,
    GraphCheckRequest,
    GraphCheckResult,
    Workflow,
    WorkflowCreate,
    WorkflowList,
    WorkflowUpdate,
    WorkflowVersion,
    WorkflowVersionList,
)

if TYPE_CHECKING:
    from app.workflows.queries import WorkflowRecord

router = APIRouter(prefix="/v1/workflows", route_class=SecuredRoute, tags=["workflows"])

Threads = Annotated[JsonThreads, Injected(JsonThreads)]
Workflows = Annotated[WorkflowService, Injected(WorkflowService)]
OptionalText = Annotated[Text | None, EmptyAsAbsent, Query()]


async def _response(
    threads: JsonThreads,
    workflows: WorkflowService,
    user_id: str,
    workflow: WorkflowRecord,
    *,
    status_code: int = 200,
) -> Response:
    graph, warnings = await workflows.parse(user_id, workflow)
    headers = {"ETag": service.etag(workflow)}
    fields = await threads.run(len(workflow.graph), workflow_fields, workflow, graph)
    fields["warnings"] = [warning.model_dump(exclude_none=True) for warning in warnings]
    return json_response(fields, status_code=status_code, headers=headers)


@router.post("", status_code=201, response_model=Workflow)
async def create_workflow(
    key: IdempotencyKeyDep,
    workflows: Workflows,
    threads: Threads,
    principal: PrincipalDep,
    body: WorkflowCreate,
) -> Response:
    """Create a workflow."""
    workflow, is_replay = await workflows.create(principal.user_id, body, key)
    response = await _response(threads, workflows, principal.user_id, workflow, status_code=201)
    if is_replay:
        replayed(response)
    return response


@router.get("", response_model=WorkflowList)
async def list_workflows(
    workflows: Workflows,
    principal: PrincipalDep,
    page: PageDep,
    q: OptionalText = None,
    tag: OptionalText = None,
    access: Annotated[Access | None, EmptyAsAbsent, Query()] = None,
) -> Response:
    """List the caller's workflows, newest first; `access=public`: the public ones of all users.

    Lists omit `graph`, `input_schema` and `output_schema`.
    """
    found, following = await workflows.page(principal.user_id, page, q=q, tag=tag, access=access)
    return list_response(
        "workflows", found, following, fields=listed_fields, key=lambda workflow: workflow.id
    )


@router.post("/check")
async def check_graph(
    workflows: Workflows, principal: PrincipalDep, body: GraphCheckRequest
) -> GraphCheckResult:
    """Check a graph without saving or running it, as a job of the caller would be checked.

    A graph of invalid structure is refused, as when it is saved.
    """
    return await workflows.check(principal.user_id, body.graph)


@router.get("/{workflow_id}", response_model=Workflow)
async def get_workflow(
    workflow_id: str, workflows: Workflows, threads: Threads, principal: PrincipalDep
) -> Response:
    """Return a workflow of the caller, or a public one."""
    workflow = await workflows.get(principal.user_id, workflow_id)
    return await _response(threads, workflows, principal.user_id, workflow)


@router.put("/{workflow_id}", response_model=Workflow)
async def replace_workflow(
    workflow_id: str,
    workflows: Workflows,
    threads: Threads,
    principal: PrincipalDep,
    body: WorkflowCreate,
    if_match: IfMatch = None,
) -> Response:
    """Replace the editable fields of a workflow; omitted fields are set to their defaults."""
    workflow = await workflows.update(principal.user_id, workflow_id, body, if_match=if_match)
    return await _response(threads, workflows, principal.user_id, workflow)


@router.patch("/{workflow_id}", response_model=Workflow)
async def update_workflow(
    workflow_id: str,
    workflows: Workflows,
    threads: Threads,
    principal: PrincipalDep,
    body: WorkflowUpdate,
    if_match: IfMatch = None,
) -> Response:
    """Change the given fields of a workflow."""
    workflow = await workflows.update(principal.user_id, workflow_id, body, if_match=if_match)
    return await _response(threads, workflows, principal.user_id, workflow)


@router.delete("/{workflow_id}", status_code=204)
async def delete_workflow(
    workflow_id: str, workflows: Workflows, principal: PrincipalDep, if_match: IfMatch = None
) -> None:
    """Delete a workflow and its versions."""
    await workflows.delete(principal.user_id, workflow_id, if_match=if_match)


@router.get("/{workflow_id}/versions", response_model=WorkflowVersionList)
async def list_versions(
    workflow_id: str,
    workflows: Workflows,
    principal: PrincipalDep,
    page_size: PageSize = None,
    cursor: Cursor = None,
) -> Response:
    """List a workflow's versions, newest first."""
    found, following = await workflows.versions(
        principal.user_id, workflow_id, page_size=page_size or 100, cursor=cursor
    )
    return list_response(
        "versions",
        found,
        following,
        fields=version_fields,
        key=lambda version: str(version.version),
    )


@router.get("/{workflow_id}/versions/{version}", response_model=WorkflowVersion)
async def get_version(
    workflow_id: str, version: int, workflows: Workflows, principal: PrincipalDep
) -> Response:
    """Return one version of a workflow."""
    found = await workflows.version(principal.user_id, workflow_id, version)
    return json_response(version_fields(found))
