"""Responses with the events of a job: a page (long poll) or a stream."""

from __future__ import annotations

from starlette.responses import Response

from app.events.broadcaster import Broadcaster
from app.events.event_stream import EventStreams, StreamType
from app.events.job_queries import JobState
from app.events.wait import JobWatch
from app.http.responses import JSON
from app.jobs.service import JobService
from app.runtime.shutdown import Shutdown

PAGE_BYTES = 8 * 1024 * 1024


class EventPages:
    """Responses with events, for users who own the job."""

    def __init__(
        self,
        jobs: JobService,
        broadcaster: Broadcaster,
        streams: EventStreams,
        shutdown: Shutdown,
    ) -> None:
        self._jobs = jobs
        self._broadcaster = broadcaster
        self._streams = streams
        self._shutdown = shutdown

    async def stream(
        self, user_id: str, job_id: str, *, after: int, media_type: StreamType
    ) -> Response:
        """Return a response that streams the events of a job after `after`.

        Raises:
            JobNotFound: It does not exist or belongs to another user.
        """
        state = await self._jobs.state(user_id, job_id)
        return self._streams.response(job_id, after=after, state=state, media_type=media_type)

    async def page(
        self, user_id: str, job_id: str, *, after: int, limit: int, wait_s: float
    ) -> Response:
        """Return a page of events; their stored texts are copied into it unparsed.

        Args:
            user_id: The user.
            job_id: The job.
            after: The `seq` of the last event that the caller has.
            limit: The maximum number of events.
            wait_s: The maximum wait for the first event.

        Raises:
            JobNotFound: It does not exist or belongs to another user.
        """
        state = await self._state(user_id, job_id, after=after, wait_s=wait_s)
        events = await self._broadcaster.log.after(
            job_id, after, known=state.last_seq, limit=limit, max_bytes=PAGE_BYTES
        )
        last = events[-1].seq if events else min(after, state.last_seq)
        is_terminal = events[-1].is_end if events else state.has_ended and after >= state.last_seq
        joined = ",".join(frame for event in events for frame in event.frames)
        return Response(
            f'{{"events":[{joined}],"last_seq":{last},"terminal":{str(is_terminal).lower()}}}',
            media_type=JSON,
        )

    async def wait_for_end(self, user_id: str, job_id: str, *, wait_s: float) -> None:
        """Wait until a job has ended, at most `wait_s`.

        Raises:
            JobNotFound: It does not exist or belongs to another user.
        """
        with JobWatch(self._broadcaster, job_id, until_end=True) as watch:
            state = await self._jobs.state(user_id, job_id)
            if not state.has_ended:
                watch.start(state.last_seq)
                await watch.wait(wait_s, self._shutdown)

    async def _state(self, user_id: str, job_id: str, *, after: int, wait_s: float) -> JobState:
        """Return the state of a job; with `wait_s`, wait for an event after `after` first."""
        with JobWatch(self._broadcaster, job_id) as watch:
            state = await self._jobs.state(user_id, job_id)
            if wait_s and state.last_seq <= after and not state.has_ended:
                watch.start(state.last_seq)
                await watch.wait(wait_s, self._shutdown)
                state = await self._jobs.state(user_id, job_id)
        return state
