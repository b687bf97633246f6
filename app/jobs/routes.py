"""Routes of jobs, for those who want work done."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.http.auth import PrincipalDep
from app.http.idempotency.dependencies import (
    REPLAY_HEADER,
    BatchIdempotencyKeyDep,
    IdempotencyKeyDep,
)
from app.http.pagination import EmptyAsAbsent, PageDep
from app.http.routing import SecuredRoute
from app.jobs.dependencies import JobsDep
from app.jobs.responses import StartingDep
from app.jobs.schemas import LARGE, dumps
from processing_context.wire.base import Id
from processing_context.wire.jobs import (
    Job,
    JobBatch,
    JobList,
    JobsMade,
    JobStatus,
    RunJobRequest,
    RunOptions,
)

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["jobs"])

_STREAMS: dict[str, object] = {"text/event-stream": {}, "application/x-ndjson": {}}
STARTED: dict[int | str, dict[str, object]] = {
    200: {
        "model": Job,
        "description": "With `Prefer: wait`: the ended job. With `Accept` of a stream: its events.",
        "content": _STREAMS,
    },
    202: {"model": Job, "description": "The job is in the queue."},
}


@router.post("/jobs", status_code=202, responses=STARTED, response_model=Job)
async def create_job(
    once: IdempotencyKeyDep, starting: StartingDep, body: RunJobRequest
) -> Response:
    """Run a workflow or a graph. The job does not depend on this connection."""
    return await starting.create(body, once)


@router.post("/jobs/batch", status_code=202, response_model=JobsMade)
async def create_jobs(
    once: BatchIdempotencyKeyDep, jobs: JobsDep, principal: PrincipalDep, body: JobBatch
) -> Response:
    """Run many workflows or graphs: all of them are queued, in their order, or none is."""
    made, is_replay = await jobs.create_all(principal, body.jobs, once)
    headers = {REPLAY_HEADER: "true"} if is_replay else None
    return Response(
        dumps({"jobs": made}), status_code=202, media_type="application/json", headers=headers
    )


@router.post("/workflows/{workflow_id}/run", status_code=202, responses=STARTED, response_model=Job)
async def run_workflow(
    workflow_id: Id,
    once: IdempotencyKeyDep,
    starting: StartingDep,
    body: RunOptions | None = None,
) -> Response:
    """Run a saved workflow."""
    options = body or RunOptions()
    return await starting.create(RunJobRequest(workflow_id=workflow_id, **dict(options)), once)


@router.get("/jobs", response_model_exclude={"jobs": {"__all__": LARGE}})
async def list_jobs(
    jobs: JobsDep,
    principal: PrincipalDep,
    page: PageDep,
    status: Annotated[JobStatus | None, EmptyAsAbsent, Query()] = None,
    workflow_id: Annotated[str | None, EmptyAsAbsent, Query()] = None,
) -> JobList:
    """List one's jobs, newest first, without `graph`, `params` and `result`."""
    shown, following = await jobs.page(
        principal.user_id, page, status=status, workflow_id=workflow_id
    )
    return JobList(next=following, jobs=shown)


@router.get("/jobs/{job_id}", response_model=Job)
async def get_job(job_id: str, jobs: JobsDep, principal: PrincipalDep) -> Response:
    """Return one job."""
    found = await jobs.get_json(principal.user_id, job_id)
    return Response(found, media_type="application/json")


@router.delete("/jobs/{job_id}", status_code=204)
async def delete_job(job_id: str, jobs: JobsDep, principal: PrincipalDep) -> None:
    """Delete an ended job and its events."""
    await jobs.delete(principal.user_id, job_id)


@router.post("/jobs/{job_id}/cancel")
async def cancel_job(job_id: str, jobs: JobsDep, principal: PrincipalDep) -> Job:
    """Cancel a job in any state, any number of times; a running one ends once its worker knows."""
    return await jobs.cancel(principal.user_id, job_id)


@router.post("/jobs/{job_id}/retry", status_code=202, responses=STARTED, response_model=Job)
async def retry_job(
    job_id: str,
    once: IdempotencyKeyDep,
    jobs: JobsDep,
    starting: StartingDep,
    principal: PrincipalDep,
) -> Response:
    """Run a failed or cancelled job again, as a new job."""
    return await starting.answer(await jobs.retry(principal, job_id, once))
