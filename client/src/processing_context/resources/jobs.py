"""Routes under `/v1/jobs`: runs of graphs on workers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from processing_context._core import Core
from processing_context._job_run import JobRun, job_path, read_events
from processing_context._transport.api import dumps
from processing_context.errors import ContextError
from processing_context.resources.files import FileMethods
from processing_context.resources.messages import MessageMethods
from processing_context.wire.events import Event
from processing_context.wire.graph import Graph
from processing_context.wire.jobs import MAX_JOBS_AT_ONCE, Job, JobList, JobsMade, RunJobRequest
from processing_context.wire.sockets import Gap

NO_PARAMS: Mapping[str, Any] = MappingProxyType({})
Runnable = Graph | RunJobRequest | Mapping[str, Any]

_MAX_BYTES_AT_ONCE = 4 * 1024 * 1024


class JobMethods(FileMethods, MessageMethods):
    """Runs of graphs on workers."""

    _cancel_s: ClassVar[float] = 10.0
    """Seconds that a cancelled caller of `run_worker` waits until its job is cancelled."""

    async def run_worker(
        self, graph: Runnable, params: Mapping[str, Any] = NO_PARAMS
    ) -> dict[str, Any]:
        """Run a graph on a worker and return `{output name: value}`.

        Every message of the job is put into the queue of this context. Lost connections are
        resumed. Cancelling the caller cancels the job.

        Args:
            graph: A `Graph`, a dict of the same form, or a `RunJobRequest`.
            params: Values by the names of the input nodes. Bytes in refs are stored first.

        Raises:
            JobFailedError: The job failed; the text holds its error message.
            JobCancelledError: The job was cancelled by another client.
        """
        core = self._core
        run = JobRun(core.api, core.messages.post_async, cancel_s=self._cancel_s)
        return await run.run(self._job_request(graph, params))

    async def start_jobs(self, jobs: Sequence[Runnable]) -> list[Job]:
        """Enqueue many jobs, up to a hundred per request; return them in order.

        Each request enqueues all of its jobs or none. Follow them with `job_events` or `get_job`.

        Args:
            jobs: Each a `RunJobRequest`, a dict of the same form, or a graph. Bytes in refs are
                stored first.

        Raises:
            ValidationError: A job is invalid; the text names its position in the request.
            ContextError: Any of these errors; its `started` holds the jobs of earlier requests.
        """
        bodies = [dumps(await self._job_request(job, NO_PARAMS)) for job in jobs]
        created: list[Job] = []
        for batch in _batches(bodies):
            try:
                created += await _create_jobs(self._core, batch)
            except ContextError as exc:
                exc.started = created
                raise
        return created

    async def get_job(self, job_id: str) -> Job:
        """Return a job."""
        return await self._core.api.get(job_path(job_id), Job)

    async def list_jobs(self, **filters: Any) -> JobList:
        """Return a page of jobs; filters `status, workflow_id, page_size, cursor`."""
        return await self._core.api.get("/v1/jobs", JobList, params=filters)

    async def cancel_job(self, job_id: str) -> Job:
        """Request the cancellation of a job; may be repeated, and has no effect on ended jobs."""
        return await self._core.api.post(f"{job_path(job_id)}/cancel", Job)

    def job_events(self, job_id: str, after: int = 0) -> AsyncIterator[Event | Gap]:
        """Iterate over the events of a job after `seq` `after`, until the one that ends it.

        Reconnects and resumes: each event is yielded once. Events that retention has removed are
        replaced by a `Gap` with the state of the job and its nodes.
        """
        return read_events(self._core.api, job_id, after)

    async def _job_request(self, runnable: Runnable, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body of the request that creates a job; bytes in refs are stored."""
        request = _as_request(runnable, params)
        body = request.model_dump(exclude_none=True, exclude={"params"})
        body["params"] = await self._without_bytes(request.params)
        for node in body.get("graph", {}).get("nodes", ()):
            node["data"] = await self._without_bytes(node["data"])
        return body


async def _create_jobs(core: Core, bodies: Sequence[bytes]) -> list[Job]:
    answered = await core.api.request(
        "POST",
        "/v1/jobs/batch",
        content=b'{"jobs":[%b]}' % b",".join(bodies),
        is_json=True,
        creates=True,
    )
    return JobsMade.model_validate_json(answered.body).jobs


def _batches(bodies: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yield batches of bodies within the limits of a request."""
    batch: list[bytes] = []
    for body in bodies:
        size = sum(map(len, batch)) + len(body)
        if batch and (len(batch) == MAX_JOBS_AT_ONCE or size > _MAX_BYTES_AT_ONCE):
            yield batch
            batch = []
        batch.append(body)
    if batch:
        yield batch


def _as_request(runnable: Runnable, params: Mapping[str, Any]) -> RunJobRequest:
    if not isinstance(params, Mapping):
        raise ValueError(f"params= must be a dict by input name, not {type(params).__name__}")
    if isinstance(runnable, RunJobRequest):
        request = runnable
    elif isinstance(runnable, Graph):
        request = RunJobRequest(graph=runnable)
    elif isinstance(runnable, Mapping):
        is_graph = "nodes" in runnable
        request = RunJobRequest.model_validate({"graph": runnable} if is_graph else runnable)
    else:
        raise ValueError(f"expected a graph or a RunJobRequest, not {type(runnable).__name__}")
    return request.model_copy(update={"params": {**request.params, **params}})
