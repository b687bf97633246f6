"""Responses to requests that create a job: 202, the ended job (Prefer: wait), or a stream."""

from __future__ import annotations

import math
import re
from typing import Annotated

from fastapi import Header, Response

from app.events.event_stream import EventStreams, wanted_stream
from app.events.job_queries import JobState
from app.events.schemas import job_json
from app.http.idempotency.dependencies import REPLAY_HEADER
from app.http.responses import json_response
from app.jobs.event_pages import EventPages
from app.jobs.service import CreatedJob, JobService
from processing_context.wire.jobs import ENDED

MAX_WAIT_S = 60

Accept = Annotated[str | None, Header()]
Prefer = Annotated[str | None, Header()]

_WAIT = re.compile(r"wait(?:\s*=\s*\"?([0-9]+(?:\.[0-9]+)?)\"?)?")
_NEW = JobState("queued", 1)


def preferred_wait_s(prefer: str | None) -> float:
    """Return the `wait` of a Prefer header (RFC 7240), in seconds; 0 without one."""
    for preference in re.split(r"[,;]", prefer or ""):
        match = _WAIT.fullmatch(preference.strip().lower())
        if match:
            return min(float(match[1]) if match[1] else math.inf, MAX_WAIT_S)
    return 0


class JobResponses:
    """Creates the responses to requests that create a job."""

    def __init__(self, jobs: JobService, pages: EventPages, streams: EventStreams) -> None:
        self._jobs = jobs
        self._pages = pages
        self._streams = streams

    async def created(
        self, user_id: str, created: CreatedJob, *, accept: str | None, prefer: str | None
    ) -> Response:
        """Return 202 with the job, 200 with the ended job after a wait, or a stream of events.

        Args:
            user_id: The user.
            created: The job.
            accept: The Accept header, which may ask for a stream.
            prefer: The Prefer header, which may ask to wait for the end.
        """
        headers = {"Location": f"/v1/jobs/{created.id}"}
        if created.is_replay:
            headers[REPLAY_HEADER] = "true"
        media_type = wanted_stream(accept)
        if media_type is not None:
            state = await self._jobs.state(user_id, created.id) if created.is_replay else _NEW
            return self._streams.response(
                created.id, after=0, state=state, media_type=media_type, headers=headers
            )
        wait_s = preferred_wait_s(prefer)
        if wait_s:
            await self._pages.wait_for_end(user_id, created.id, wait_s=wait_s)
            headers["Preference-Applied"] = f"wait={wait_s:g}"
        elif created.record is not None:
            return json_response(job_json(created.record), status_code=202, headers=headers)
        view = await self._jobs.get(user_id, created.id)
        status_code = 200 if wait_s and view.job.status in ENDED else 202
        return json_response(job_json(*view), status_code=status_code, headers=headers)
