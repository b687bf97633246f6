"""Routes for users to create, read, cancel, retry and delete jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.events.schemas import job_json, summary_json
from app.http.auth import PrincipalDep
from app.http.dependencies import Injected
from app.http.idempotency.dependencies import (
    REPLAY_HEADER,
    BatchIdempotencyKeyDep,
    IdempotencyKeyDep,
)
from app.http.pagination import EmptyAsAbsent, PageDep, list_response
from app.http.responses import json_response
from app.http.routing import SecuredRoute
from app.jobs.cancellation import JobCancellation
from app.jobs.filters import JobFilters
from app.jobs.responses import Accept, JobResponses, Prefer
from app.jobs.service import JobService
from processing_context.wire.base import Id
from processing_context.wire.jobs import (
    Job,
    JobBatch,
    JobList,
    JobsCancel,
    JobsCancelled,
    JobsMade,
    JobStatus,
    RunJobRequest,
    RunOptions,
)

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["jobs"])

Jobs = Annotated[JobService, Injected(JobService)]
Cancellation = Annotated[JobCancellation, Injected(JobCancellation)]
Filter = Annotated[str | None, EmptyAsAbsent, Query()]
Responses = Annotated[JobResponses, Injected(JobResponses)]

_STREAMS: dict[str, object] = {"text/event-stream": {}, "application/x-ndjson": {}}
STARTED: dict[int | str, dict[str, object]] = {
    200: {
        "model": Job,
        "description": "The ended job (`Prefer: wait`), or a stream of its events (`Accept`).",
        "content": _STREAMS,
    },
    202: {"model": Job, "description": "The job is in the queue."},
}


@router.post("/jobs", status_code=202, responses=STARTED, response_model=Job)
async def create_job(
    key: IdempotencyKeyDep,
    jobs: Jobs,
    responses: Responses,
    principal: PrincipalDep,
    body: RunJobRequest,
    accept: Accept = None,
    prefer: Prefer = None,
) -> Response:
    """Create a job that runs a workflow or a graph. It continues if the client disconnects."""
    created = await jobs.create(principal, body, key)
    return await responses.created(principal.user_id, created, accept=accept, prefer=prefer)


@router.post("/jobs/batch", status_code=202, response_model=JobsMade)
async def create_jobs(
    key: BatchIdempotencyKeyDep, jobs: Jobs, principal: PrincipalDep, body: JobBatch
) -> Response:
    """Create several jobs, in their order, all or none of them."""
    created, is_replay = await jobs.create_all(principal, body.jobs, key)
    return json_response(
        {"jobs": [job_json(*view) for view in created]},
        status_code=202,
        headers={REPLAY_HEADER: "true"} if is_replay else None,
    )


@router.post("/workflows/{workflow_id}/run", status_code=202, responses=STARTED, response_model=Job)
async def run_workflow(
    workflow_id: Id,
    key: IdempotencyKeyDep,
    jobs: Jobs,
    responses: Responses,
    principal: PrincipalDep,
    body: RunOptions | None = None,
    accept: Accept = None,
    prefer: Prefer = None,
) -> Response:
    """Create a job that runs a saved workflow."""
    options = body or RunOptions()
    request = RunJobRequest(workflow_id=workflow_id, **dict(options))
    created = await jobs.create(principal, request, key)
    return await responses.created(principal.user_id, created, accept=accept, prefer=prefer)


@router.post("/jobs/cancel")
async def cancel_jobs(
    cancellation: Cancellation, principal: PrincipalDep, body: JobsCancel
) -> JobsCancelled:
    """Cancel several jobs; return the ids of those that are cancelled or will be.

    Jobs that do not exist, and those that have completed or failed, are left out.
    """
    return JobsCancelled(cancelled=await cancellation.cancel_all(principal, body.ids))


@router.get("/jobs", response_model=JobList)
async def list_jobs(
    jobs: Jobs,
    principal: PrincipalDep,
    page: PageDep,
    status: Annotated[JobStatus | None, EmptyAsAbsent, Query()] = None,
    workflow_id: Filter = None,
    name: Filter = None,
    rerun_of: Filter = None,
    parent_job_id: Filter = None,
) -> Response:
    """List the caller's jobs, newest first, without `graph`, `params` and `result`."""
    filters = JobFilters(status, workflow_id, name, rerun_of, parent_job_id)
    found, following = await jobs.page(principal.user_id, page, filters)
    return list_response(
        "jobs",
        found,
        following,
        fields=lambda view: summary_json(*view),
        key=lambda view: view.job.id,
    )


@router.get("/jobs/{job_id}", response_model=Job)
async def get_job(job_id: str, jobs: Jobs, principal: PrincipalDep) -> Response:
    """Return one job."""
    return json_response(job_json(*await jobs.get(principal.user_id, job_id)))


@router.delete("/jobs/{job_id}", status_code=204)
async def delete_job(job_id: str, jobs: Jobs, principal: PrincipalDep) -> None:
    """Delete an ended job and its events."""
    await jobs.delete(principal.user_id, job_id)


@router.post("/jobs/{job_id}/cancel", response_model=Job)
async def cancel_job(
    job_id: str, jobs: Jobs, cancellation: Cancellation, principal: PrincipalDep
) -> Response:
    """Cancel a job; idempotent. A running job ends when its worker learns of it.

    The token of a job cancels only the jobs that the job started.
    """
    await cancellation.cancel(principal, job_id)
    return json_response(job_json(*await jobs.get(principal.user_id, job_id)))


@router.post("/jobs/{job_id}/retry", status_code=202, responses=STARTED, response_model=Job)
async def retry_job(
    job_id: str,
    key: IdempotencyKeyDep,
    jobs: Jobs,
    responses: Responses,
    principal: PrincipalDep,
    accept: Accept = None,
    prefer: Prefer = None,
) -> Response:
    """Retry a failed or cancelled job, as a new job."""
    created = await jobs.retry(principal, job_id, key)
    return await responses.created(principal.user_id, created, accept=accept, prefer=prefer)
