"""The answer to whoever starts a job: at once, at its end, or its events as they come."""

from __future__ import annotations

import math
import re
from typing import Annotated

from fastapi import Depends, Header, Request, Response

from app.events.broadcaster import Hub
from app.events.event_stream import event_stream, wanted_stream
from app.events.wait import Watch
from app.http.auth import Principal, current_principal
from app.http.idempotency.dependencies import REPLAY_HEADER
from app.http.idempotency.keys import IdempotencyKey
from app.jobs.dependencies import HubDep, JobsDep, ShutdownDep
from app.jobs.schemas import dumps, job_json
from app.jobs.service import Jobs
from app.queue.enqueue_queries import Made
from app.runtime.shutdown import Shutdown
from processing_context.wire.jobs import Job, RunJobRequest

MAX_WAIT_S = 60

_WAIT = re.compile(r"wait(?:\s*=\s*\"?([0-9]+(?:\.[0-9]+)?)\"?)?")


def preferred_wait_s(prefer: str | None) -> float:
    """Return the seconds that a Prefer header (RFC 7240) asks to wait; 0 where it does not."""
    for preference in re.split(r"[,;]", prefer or ""):
        match = _WAIT.fullmatch(preference.strip().lower())
        if match:
            return min(float(match[1]) if match[1] else math.inf, MAX_WAIT_S)
    return 0


class Starting:
    """Answers a request that made a job."""

    def __init__(
        self,
        jobs: Jobs,
        hub: Hub,
        shutdown: Shutdown,
        principal: Principal,
        *,
        accept: str | None,
        prefer: str | None,
    ) -> None:
        self._jobs = jobs
        self._hub = hub
        self._shutdown = shutdown
        self._principal = principal
        self._user_id = principal.user_id
        self._stream = wanted_stream(accept)
        self._wait_s = preferred_wait_s(prefer)

    async def create(self, request: RunJobRequest, once: IdempotencyKey) -> Response:
        """Make a job, and answer."""
        return await self.answer(await self._jobs.create(self._principal, request, once))

    async def answer(self, made: Made) -> Response:
        """Return 202 with the job, 200 with the ended one where the caller waits, or its events."""
        headers = {"Location": f"/v1/jobs/{made.job_id}"}
        if made.is_replay:
            headers[REPLAY_HEADER] = "true"
        if self._stream is not None:
            last_seq, has_ended = (
                await self._jobs.state(self._user_id, made.job_id) if made.is_replay else (1, False)
            )
            return event_stream(
                self._hub,
                self._shutdown,
                made.job_id,
                after=0,
                last_seq=last_seq,
                has_ended=has_ended,
                media_type=self._stream,
                headers=headers,
            )
        if made.row is not None and not self._wait_s:
            return _reply(dumps(job_json(made.row)), 202, headers)
        job = await self._waited(made.job_id)
        if self._wait_s:
            headers["Preference-Applied"] = f"wait={self._wait_s:g}"
        status = 200 if self._wait_s and job.is_ended else 202
        return _reply(job.model_dump_json(), status, headers)

    async def _waited(self, job_id: str) -> Job:
        if self._wait_s:
            with Watch(self._hub, job_id, until_end=True) as watch:
                last_seq, has_ended = await self._jobs.state(self._user_id, job_id)
                if not has_ended:
                    watch.start(last_seq)
                    await watch.wait(self._wait_s, self._shutdown)
        return await self._jobs.get(self._user_id, job_id)


def _reply(body: str | bytes, status: int, headers: dict[str, str]) -> Response:
    return Response(body, status_code=status, media_type="application/json", headers=headers)


async def _starting(
    request: Request,
    jobs: JobsDep,
    hub: HubDep,
    shutdown: ShutdownDep,
    accept: Annotated[str | None, Header()] = None,
    prefer: Annotated[str | None, Header()] = None,
) -> Starting:
    principal = current_principal(request)
    return Starting(jobs, hub, shutdown, principal, accept=accept, prefer=prefer)


StartingDep = Annotated[Starting, Depends(_starting)]
