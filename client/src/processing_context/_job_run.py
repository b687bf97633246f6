"""Creation of a job and its events until it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from processing_context._events.job_stream import StartedJob
from processing_context._refs import with_refs
from processing_context._transport.api import Api, segment
from processing_context._transport.retry import PATIENCE_S
from processing_context._waiting import WaitingNotice
from processing_context.errors import (
    ContextError,
    JobCancelledError,
    JobFailedError,
    RemoteTraceback,
)
from processing_context.wire.events import Event, JobUpdate
from processing_context.wire.jobs import ENDED, Job
from processing_context.wire.sockets import Gap

logger = logging.getLogger(__name__)

Post = Callable[[Event], Awaitable[None]]


def job_path(job_id: str) -> str:
    """Return the path of a job's route."""
    return f"/v1/jobs/{segment(job_id, 'job_id')}"


async def read_events(api: Api, job_id: str, after: int = 0) -> AsyncGenerator[Event | Gap]:
    """Yield the events of a job up to the one that ends it, and gaps for removed events."""
    # websockets takes a fifth of this package's import time, and many contexts run no job.
    from processing_context._events.stream import JobEvents

    segment(job_id, "job_id")
    async for event in JobEvents(api, job_id, after).read():
        yield event


class JobRun:
    """A job that is created, followed until it ends, and cancelled together with its caller.

    Args:
        api: The API client.
        post: Called with every event of the job.
        cancel_s: How long a cancelled caller waits until the service has cancelled the job.
    """

    def __init__(self, api: Api, post: Post, *, cancel_s: float) -> None:
        self._api = api
        self._post = post
        self._cancel_s = cancel_s

    async def run(self, body: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
        """Run the job and return its outputs.

        Args:
            body: Returns the body of the request that creates the job.

        Raises:
            JobFailedError: The job failed.
            JobCancelledError: The job was cancelled by another client.
        """
        creation = asyncio.ensure_future(self._create(body))
        try:
            created = await asyncio.shield(creation)
            end = await self._follow(created)
        except asyncio.CancelledError:
            await self._cancel_after(creation)
            raise
        if end.status == "completed" and end.result is not None:
            return _outputs(end.result)
        job = await self._find(created.id)
        if end.status == "completed":
            return _outputs(job.result or {})
        raise _failure(job, end)

    async def _create(self, body: Coroutine[Any, Any, dict[str, Any]]) -> Job | StartedJob:
        """Create the job; if connections may stay open, the response is its events."""
        if self._api.may_hold_connections:
            return await StartedJob.create(self._api, await body)
        return await self._api.post("/v1/jobs", Job, body=await body, creates=True)

    async def _follow(self, created: Job | StartedJob) -> JobUpdate:
        """Post the events; return the one that ended the job."""
        if isinstance(created, StartedJob):
            stream = created.events()
        else:
            stream = read_events(self._api, created.id)
        notice = WaitingNotice(lambda: self._api.get(job_path(created.id), Job), self._post)
        notice.update("queued")
        try:
            async with aclosing(stream) as events:
                async for event in events:
                    if isinstance(event, Gap):
                        continue
                    if isinstance(event, JobUpdate):
                        notice.update(event.status)
                    await self._post(event)
                    if isinstance(event, JobUpdate) and event.status in ENDED:
                        return event
        finally:
            notice.close()
        # Retention has removed the event that ended the job.
        job = await self._find(created.id)
        return JobUpdate(status=job.status, error=job.error)

    async def _find(self, job_id: str) -> Job:
        return await self._api.get(job_path(job_id), Job, patience_s=PATIENCE_S)

    async def _cancel_after(self, creation: asyncio.Future[Job | StartedJob]) -> None:
        """Cancel the job, even if the request that creates it has no response yet."""
        try:
            async with asyncio.timeout(self._cancel_s):
                created = await creation
                if isinstance(created, StartedJob):
                    await created.aclose()
                await self._api.post(f"{job_path(created.id)}/cancel", Job)
        except (ContextError, TimeoutError, ValueError) as exc:
            logger.warning("could not cancel the job of a cancelled call: %s", exc)


def _outputs(result: dict[str, Any]) -> dict[str, Any]:
    return {name: with_refs(value) for name, value in result.items()}


def _failure(job: Job, end: JobUpdate) -> ContextError:
    error = job.error or end.error
    message = error.message if error else end.message or "no reason given"
    if job.status == "cancelled":
        return JobCancelledError(f"job {job.id} was cancelled: {message}", job)
    where = f" at node {error.node_id}" if error and error.node_id else ""
    failure = JobFailedError(f"job {job.id} failed{where}: {message}", job)
    if error and error.traceback:
        failure.__cause__ = RemoteTraceback(error.traceback)
    return failure
