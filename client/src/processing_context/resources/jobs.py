"""Jobs: runs of a graph on a worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from typing import Any, Protocol

from processing_context._events.job_stream import StartedJob
from processing_context._outgoing import with_refs
from processing_context._transport.api import Http, dumps, segment
from processing_context.errors import ContextError, JobCancelledError, JobFailedError
from processing_context.wire.events import Event, JobUpdate
from processing_context.wire.graph import Graph
from processing_context.wire.jobs import (
    ENDED,
    MAX_JOBS_AT_ONCE,
    Job,
    JobList,
    JobsMade,
    RunJobRequest,
)
from processing_context.wire.sockets import Gap

logger = logging.getLogger(__name__)

PATIENCE_S = 900.0
"""How long the service may be away while a job is waited for."""

_CANCEL_S = 10.0
"""How long a cancelled caller waits for the service to hear of it."""

_MAX_BYTES_AT_ONCE = 4 * 1024 * 1024

Runnable = Graph | RunJobRequest | Mapping[str, Any]


class Sendable(Protocol):
    """Makes a value fit for the service."""

    async def __call__(self, value: Any) -> Any:
        """Return it as JSON whose refs carry no bytes."""


class Jobs:
    """The routes under `/v1/jobs`.

    Args:
        http: The API calls.
        sendable: Makes params fit for the service.
    """

    def __init__(self, http: Http, sendable: Sendable) -> None:
        self._http = http
        self._sendable = sendable

    async def find(self, job_id: str, *, patience_s: float | None = None) -> Job:
        """Return one job."""
        return await self._http.get(_path(job_id), Job, patience_s=patience_s)

    async def page(self, **filters: Any) -> JobList:
        """Return one page; the filters are the route's query parameters."""
        return await self._http.get("/v1/jobs", JobList, params=filters)

    async def create(self, runnable: Runnable, params: Mapping[str, Any]) -> Job:
        """Queue a job; refs with bytes in them are stored first."""
        body = await self._body(runnable, params)
        return await self._http.post("/v1/jobs", Job, body=body, creates=True)

    async def create_all(self, runnables: Sequence[Runnable]) -> list[Job]:
        """Queue many jobs with few requests; refs with bytes in them are stored first."""
        bodies = [dumps(await self._body(runnable, {})) for runnable in runnables]
        made: list[Job] = []
        for some in _together(bodies):
            try:
                made += await self._create_some(some)
            except ContextError as exc:
                exc.started = made
                raise
        return made

    async def _create_some(self, bodies: Sequence[bytes]) -> list[Job]:
        answered = await self._http.request(
            "POST",
            "/v1/jobs/batch",
            content=b'{"jobs":[%b]}' % b",".join(bodies),
            is_json=True,
            creates=True,
        )
        return JobsMade.model_validate_json(answered.body).jobs

    async def cancel(self, job_id: str) -> Job:
        """Ask for the end of a job; in any state, any number of times."""
        return await self._http.post(f"{_path(job_id)}/cancel", Job)

    async def events(self, job_id: str, after: int = 0) -> AsyncGenerator[Event | Gap]:
        """Yield the events of a job until the one that ends it, and gaps where some are gone."""
        # websockets costs a fifth of this package's import time, and many contexts run no job.
        from processing_context._events.stream import JobEvents

        segment(job_id, "job_id")
        async for event in JobEvents(self._http, job_id, after).read():
            yield event

    async def run(
        self,
        runnable: Runnable,
        params: Mapping[str, Any],
        post: Callable[[Event], Awaitable[None]],
    ) -> dict[str, Any]:
        """Run a job to its end, with every event of it handed to `post`.

        Raises:
            JobFailedError: It failed.
            JobCancelledError: It was cancelled, by someone else.
        """
        begin: Callable[..., Coroutine[Any, Any, Job | StartedJob]]
        begin = self._start if self._http.may_hold_connections else self.create
        creation: asyncio.Future[Job | StartedJob]
        creation = asyncio.ensure_future(begin(runnable, params))
        try:
            made: Job | StartedJob = await asyncio.shield(creation)
            stream = made.events() if isinstance(made, StartedJob) else None
            end = await self._followed(made.id, post, stream)
        except asyncio.CancelledError:
            await self._cancel_after(creation)
            raise
        if end.status == "completed" and end.result is not None:
            return _outputs(end.result)
        job = await self.find(made.id, patience_s=PATIENCE_S)
        if end.status == "completed":
            return _outputs(job.result or {})
        raise _failure(job, end)

    async def _start(self, runnable: Runnable, params: Mapping[str, Any]) -> StartedJob:
        """Queue a job as `create` does, and listen on the same connection."""
        return await StartedJob.of(self._http, await self._body(runnable, params))

    async def _body(self, runnable: Runnable, params: Mapping[str, Any]) -> dict[str, Any]:
        request = _request(runnable, params)
        body = request.model_dump(exclude_none=True, exclude={"params"})
        body["params"] = await self._sendable(request.params)
        for node in body.get("graph", {}).get("nodes", ()):
            node["data"] = await self._sendable(node["data"])
        return body

    async def _followed(
        self,
        job_id: str,
        post: Callable[[Event], Awaitable[None]],
        stream: AsyncGenerator[Event | Gap] | None = None,
    ) -> JobUpdate:
        async with aclosing(stream or self.events(job_id)) as events:
            async for event in events:
                if isinstance(event, Gap):
                    continue
                await post(event)
                if isinstance(event, JobUpdate) and event.status in ENDED:
                    return event
        # Retention has removed the event that ended it.
        job = await self.find(job_id, patience_s=PATIENCE_S)
        return JobUpdate(status=job.status, error=job.error)

    async def _cancel_after(self, creation: asyncio.Future[Job | StartedJob]) -> None:
        """Cancel the job, also one whose creation is still on its way."""
        try:
            async with asyncio.timeout(_CANCEL_S):
                made = await creation
                if isinstance(made, StartedJob):
                    await made.aclose()
                await self.cancel(made.id)
        except (ContextError, TimeoutError, ValueError) as exc:
            logger.warning("the job of a cancelled call could not be cancelled: %s", exc)


def _together(bodies: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yield those that travel in one request: no more than the service takes."""
    some: list[bytes] = []
    for body in bodies:
        size = sum(map(len, some)) + len(body)
        if some and (len(some) == MAX_JOBS_AT_ONCE or size > _MAX_BYTES_AT_ONCE):
            yield some
            some = []
        some.append(body)
    if some:
        yield some


def _path(job_id: str) -> str:
    return f"/v1/jobs/{segment(job_id, 'job_id')}"


def _request(runnable: Runnable, params: Mapping[str, Any]) -> RunJobRequest:
    if not isinstance(params, Mapping):
        raise ValueError(f"params are a dict by input name, not a {type(params).__name__}")
    if isinstance(runnable, RunJobRequest):
        request = runnable
    elif isinstance(runnable, Graph):
        request = RunJobRequest(graph=runnable)
    elif isinstance(runnable, Mapping):
        is_graph = "nodes" in runnable
        request = RunJobRequest.model_validate({"graph": runnable} if is_graph else runnable)
    else:
        raise ValueError(f"a graph or a RunJobRequest is wanted, not {type(runnable).__name__}")
    return request.model_copy(update={"params": {**request.params, **params}})


def _outputs(result: dict[str, Any]) -> dict[str, Any]:
    return {name: with_refs(value) for name, value in result.items()}


def _failure(job: Job, end: JobUpdate) -> ContextError:
    error = job.error or end.error
    said = error.message if error else end.message or "no reason was given"
    if job.status == "cancelled":
        return JobCancelledError(f"job {job.id} was cancelled: {said}", job)
    where = f" at node {error.node_id}" if error and error.node_id else ""
    return JobFailedError(f"job {job.id} failed{where}: {said}", job)
