"""Routes that read what a job and its nodes said: one log, three views of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from app.events import queries as event_queries
from app.events.broadcaster import Hub
from app.events.event_stream import event_stream, wanted_stream
from app.events.log import MAX_SEQ
from app.events.node_states import node_out
from app.events.wait import Watch
from app.http.auth import PrincipalDep
from app.http.dependencies import DatabaseDep
from app.http.pagination import EmptyAsAbsent, whole_number
from app.http.problems import BadRequest
from app.http.routing import SecuredRoute
from app.jobs.dependencies import HubDep, JobsDep, ShutdownDep
from app.jobs.service import Jobs
from app.runtime.shutdown import Shutdown
from processing_context.wire.events import EventPage
from processing_context.wire.jobs import NodeStateList

router = APIRouter(prefix="/v1/jobs", route_class=SecuredRoute, tags=["jobs"])

PAGE_BYTES = 8 * 1024 * 1024

Seq = Annotated[Annotated[int, Query(ge=0, le=MAX_SEQ)] | None, EmptyAsAbsent, Query()]
Wait = Annotated[Annotated[float, Query(ge=0, le=60)] | None, EmptyAsAbsent, Query()]
Limit = Annotated[Annotated[int, Query(ge=1, le=1000)] | None, EmptyAsAbsent, Query()]


class BadLastEventId(BadRequest):
    """`Last-Event-ID` is no `seq`."""

    code = "invalid_last_event_id"
    detail = "Last-Event-ID is the `id` of the last event seen: a whole number."


@router.get(
    "/{job_id}/events",
    response_model=EventPage,
    responses={200: {"content": {"text/event-stream": {}, "application/x-ndjson": {}}}},
)
async def get_events(
    job_id: str,
    jobs: JobsDep,
    hub: HubDep,
    shutdown: ShutdownDep,
    principal: PrincipalDep,
    after: Seq = None,
    wait: Wait = None,
    limit: Limit = None,
    accept: Annotated[str | None, Header()] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Return events after `after`: a page, which may wait for news, or a stream to the end."""
    seen = _last_event_id(last_event_id) if last_event_id else after or 0
    media_type = wanted_stream(accept)
    if media_type is not None:
        last_seq, has_ended = await jobs.state(principal.user_id, job_id)
        return event_stream(
            hub,
            shutdown,
            job_id,
            after=seen,
            last_seq=last_seq,
            has_ended=has_ended,
            media_type=media_type,
        )
    page = _Page(jobs, hub, principal.user_id, job_id, seen, limit or 1000)
    return await page.answer(wait or 0, shutdown)


@router.get("/{job_id}/nodes")
async def get_nodes(
    job_id: str, jobs: JobsDep, db: DatabaseDep, principal: PrincipalDep
) -> NodeStateList:
    """Return the latest state of each node in the present attempt."""
    await jobs.state(principal.user_id, job_id)
    return NodeStateList(
        nodes=[node_out(row) for row in await event_queries.nodes(db.pool, job_id)]
    )


class _Page:
    """A page of events as JSON; the stored texts go into it as they are."""

    def __init__(
        self, jobs: Jobs, hub: Hub, user_id: str, job_id: str, after: int, limit: int
    ) -> None:
        self._jobs = jobs
        self._hub = hub
        self._user_id = user_id
        self._job_id = job_id
        self._after = after
        self._limit = limit

    async def answer(self, wait_s: float, shutdown: Shutdown) -> Response:
        """Return what there is, or the first that comes within the time."""
        with Watch(self._hub, self._job_id) as watch:
            last_seq, has_ended = await self._jobs.state(self._user_id, self._job_id)
            if wait_s and last_seq <= self._after and not has_ended:
                watch.start(last_seq)
                await watch.wait(wait_s, shutdown)
                last_seq, has_ended = await self._jobs.state(self._user_id, self._job_id)
        events = await self._hub.log.after(
            self._job_id,
            self._after,
            known=last_seq,
            limit=self._limit,
            max_bytes=PAGE_BYTES,
        )
        last = events[-1].seq if events else min(self._after, last_seq)
        is_terminal = events[-1].is_end if events else has_ended and self._after >= last_seq
        joined = ",".join(event.text for event in events)
        return Response(
            f'{{"events":[{joined}],"last_seq":{last},"terminal":{str(is_terminal).lower()}}}',
            media_type="application/json",
        )


def _last_event_id(value: str) -> int:
    seq = whole_number(value)
    if seq is None or seq > MAX_SEQ:
        raise BadLastEventId
    return seq
