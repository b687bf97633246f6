"""Routes of workflows."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from app.http.auth import PrincipalDep
from app.http.dependencies import SessionDep
from app.http.etags import IfMatch
from app.http.idempotency.keys import OnceDep, fingerprint_of, replayed
from app.http.pagination import EmptyAsAbsent, PageDep, PageSize
from app.http.routing import SecuredRoute
from app.workflows import service
from app.workflows.models import WorkflowRow
from app.workflows.schemas import version_out, workflow_out
from app.workflows.service import WorkflowService
from processing_context.wire.base import Text
from processing_context.wire.workflows import (
    Access,
    Workflow,
    WorkflowCreate,
    WorkflowList,
    WorkflowUpdate,
    WorkflowVersion,
    WorkflowVersionList,
)

router = APIRouter(prefix="/v1/workflows", route_class=SecuredRoute, tags=["workflows"])


async def _service(session: SessionDep, principal: PrincipalDep) -> WorkflowService:
    return WorkflowService(session, user_id=principal.user_id)


Workflows = Annotated[WorkflowService, Depends(_service)]
OptionalText = Annotated[Text | None, EmptyAsAbsent, Query()]


def _out(row: WorkflowRow, response: Response) -> Workflow:
    response.headers["ETag"] = service.etag(row)
    return workflow_out(row)


@router.post("", status_code=201)
async def create_workflow(
    once: OnceDep,
    session: SessionDep,
    workflows: Workflows,
    body: WorkflowCreate,
    response: Response,
) -> Workflow:
    """Save a workflow."""
    made = await once.begin(fingerprint_of(body))
    if made is not None:
        replayed(response)
        return _out(await workflows.get(made), response)
    row = await workflows.create(body)
    await once.done(session, row.id)
    return _out(row, response)


@router.get("")
async def list_workflows(
    workflows: Workflows,
    page: PageDep,
    q: OptionalText = None,
    tag: OptionalText = None,
    access: Annotated[Access | None, EmptyAsAbsent, Query()] = None,
) -> WorkflowList:
    """List one's own workflows, newest first; `access=public` lists everybody's public ones."""
    rows, following = await workflows.page(page, q=q, tag=tag, access=access)
    return WorkflowList(next=following, workflows=[workflow_out(row) for row in rows])


@router.get("/{workflow_id}")
async def get_workflow(workflow_id: str, workflows: Workflows, response: Response) -> Workflow:
    """Return a workflow: one's own or a public one."""
    return _out(await workflows.get(workflow_id), response)


@router.put("/{workflow_id}")
async def replace_workflow(
    workflow_id: str,
    workflows: Workflows,
    body: WorkflowCreate,
    response: Response,
    if_match: IfMatch = None,
) -> Workflow:
    """Replace all that a user can edit; what is left out goes back to its default."""
    return _out(await workflows.update(workflow_id, body, if_match=if_match), response)


@router.patch("/{workflow_id}")
async def update_workflow(
    workflow_id: str,
    workflows: Workflows,
    body: WorkflowUpdate,
    response: Response,
    if_match: IfMatch = None,
) -> Workflow:
    """Change what the body gives."""
    return _out(await workflows.update(workflow_id, body, if_match=if_match), response)


@router.delete("/{workflow_id}", status_code=204)
async def delete_workflow(workflow_id: str, workflows: Workflows, if_match: IfMatch = None) -> None:
    """Delete a workflow and its versions."""
    await workflows.delete(workflow_id, if_match=if_match)


@router.get("/{workflow_id}/versions")
async def list_versions(
    workflow_id: str,
    workflows: Workflows,
    page_size: PageSize = None,
    cursor: Annotated[str | None, EmptyAsAbsent, Query()] = None,
) -> WorkflowVersionList:
    """List a workflow's versions, newest first."""
    rows, following = await workflows.versions(
        workflow_id, page_size=page_size or 100, cursor=cursor
    )
    return WorkflowVersionList(next=following, versions=[version_out(row) for row in rows])


@router.get("/{workflow_id}/versions/{version}")
async def get_version(workflow_id: str, version: int, workflows: Workflows) -> WorkflowVersion:
    """Return one version of a workflow."""
    return version_out(await workflows.version(workflow_id, version))
