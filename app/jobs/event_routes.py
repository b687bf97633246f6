"""Routes for the events of a job and the states of its nodes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from app.events.event_stream import wanted_stream
from app.events.log import MAX_SEQ
from app.events.schemas import node_fields
from app.http.auth import PrincipalDep
from app.http.dependencies import Injected
from app.http.pagination import (
    MAX_PAGE_SIZE,
    Cursor,
    EmptyAsAbsent,
    PageSize,
    list_response,
    whole_number,
)
from app.http.routing import SecuredRoute
from app.jobs.errors import BadLastEventId
from app.jobs.event_pages import EventPages
from app.jobs.service import JobService
from processing_context.wire.events import EventPage
from processing_context.wire.jobs import NodeStateList

router = APIRouter(prefix="/v1/jobs", route_class=SecuredRoute, tags=["jobs"])

Jobs = Annotated[JobService, Injected(JobService)]
Pages = Annotated[EventPages, Injected(EventPages)]
Seq = Annotated[Annotated[int, Query(ge=0, le=MAX_SEQ)] | None, EmptyAsAbsent, Query()]
Wait = Annotated[Annotated[float, Query(ge=0, le=60)] | None, EmptyAsAbsent, Query()]
Limit = Annotated[Annotated[int, Query(ge=1, le=1000)] | None, EmptyAsAbsent, Query()]


@router.get(
    "/{job_id}/events",
    response_model=EventPage,
    responses={200: {"content": {"text/event-stream": {}, "application/x-ndjson": {}}}},
)
async def get_events(
    job_id: str,
    request: Request,
    pages: Pages,
    principal: PrincipalDep,
    after: Seq = None,
    wait: Wait = None,
    limit: Limit = None,
    accept: Annotated[str | None, Header()] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Return the events after `after`: a page, which may wait for new events, or a stream."""
    seen = _last_event_id(last_event_id) if last_event_id else after or 0
    media_type = wanted_stream(accept)
    if media_type is not None:
        return await pages.stream(principal.user_id, job_id, after=seen, media_type=media_type)
    wait_s = 0 if request.method == "HEAD" else wait or 0
    return await pages.page(
        principal.user_id, job_id, after=seen, limit=limit or 1000, wait_s=wait_s
    )


@router.get("/{job_id}/nodes", response_model=NodeStateList)
async def get_nodes(
    job_id: str,
    jobs: Jobs,
    principal: PrincipalDep,
    page_size: PageSize = None,
    cursor: Cursor = None,
) -> Response:
    """Return the latest state of each node in the current attempt, 1,000 by default."""
    nodes, following = await jobs.nodes(
        principal.user_id, job_id, page_size=page_size or MAX_PAGE_SIZE, cursor=cursor
    )
    return list_response(
        "nodes", nodes, following, fields=node_fields, key=lambda node: node.node_id
    )


def _last_event_id(value: str) -> int:
    seq = whole_number(value)
    if seq is None or seq > MAX_SEQ:
        raise BadLastEventId
    return seq
