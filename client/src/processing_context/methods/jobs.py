"""Jobs and workflows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from processing_context._arguments import given
from processing_context._events.queue import MessageQueue
from processing_context.resources.jobs import Jobs, Runnable
from processing_context.resources.workflows import Workflows
from processing_context.wire.events import Event
from processing_context.wire.jobs import Job, JobList, RunJobRequest
from processing_context.wire.sockets import Gap
from processing_context.wire.workflows import Workflow, WorkflowCreate, WorkflowList

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class JobMethods:
    """Runs of graphs on workers."""

    _messages: MessageQueue
    _jobs: Jobs
    _workflows: Workflows

    async def run_worker(
        self, graph: Runnable, params: Mapping[str, Any] = _NOTHING
    ) -> dict[str, Any]:
        """Run a graph on a worker and return `{output name: value}`.

        Every message of the job is put into this context's queue. Lost connections are survived.
        Cancelling the caller cancels the job.

        Args:
            graph: A `Graph`, a dict of that form, or a whole `RunJobRequest`.
            params: By the names of the input nodes. Bytes in refs are stored first.

        Raises:
            JobFailedError: It failed; the text holds the job's error message.
            JobCancelledError: Somebody cancelled it.
        """
        return await self._jobs.run(graph, params, self._messages.post_async)

    async def run_workflow(
        self, workflow_id: str, params: Mapping[str, Any] = _NOTHING
    ) -> dict[str, Any]:
        """Run a saved workflow, as `run_worker` runs a graph."""
        return await self.run_worker(
            RunJobRequest(workflow_id=given(workflow_id, "workflow_id")), params
        )

    async def start_jobs(self, jobs: Sequence[Runnable]) -> list[Job]:
        """Put many jobs into the queue, up to a hundred a request; return them in their order.

        Of the jobs of one request all are queued, or none is. What becomes of them is read with
        `job_events` or `get_job`.

        Args:
            jobs: Each a `RunJobRequest`, a dict of that form, or a graph. Bytes in refs are stored
                first.

        Raises:
            ValidationError: One of them cannot be run; the text says which of its request.
            ContextError: Any of these errors has, as `started`, the jobs of earlier requests.
        """
        return await self._jobs.create_all(jobs)

    async def get_job(self, job_id: str) -> Job:
        """Return a job."""
        return await self._jobs.find(job_id)

    async def list_jobs(self, **filters: Any) -> JobList:
        """Return a page of jobs; filters `status, workflow_id, page_size, cursor`."""
        return await self._jobs.page(**filters)

    async def cancel_job(self, job_id: str) -> Job:
        """Ask for the end of a job; in any state, any number of times."""
        return await self._jobs.cancel(job_id)

    def job_events(self, job_id: str, after: int = 0) -> AsyncIterator[Event | Gap]:
        """Iterate over a job's events after a `seq`, until the one that ends it.

        Reconnects and resumes: each event comes once, none is missing. Where the service does not
        keep the events any more, a `Gap` stands for them, with the state of the job and its nodes.
        """
        return self._jobs.events(job_id, after)

    async def create_workflow(self, workflow: WorkflowCreate | Mapping[str, Any]) -> Workflow:
        """Save a workflow."""
        return await self._workflows.create(workflow)

    async def get_workflow(self, workflow_id: str) -> Workflow:
        """Return a saved workflow."""
        return await self._workflows.find(workflow_id)

    async def list_workflows(self, **filters: Any) -> WorkflowList:
        """Return a page of workflows; filters `q, tag, access, page_size, cursor`."""
        return await self._workflows.page(**filters)
