"""The events of all of a worker's jobs on their way to the service, gathered into few requests."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass

from processing_context._transport.api import Api
from processing_context._transport.retry import PATIENCE_S
from processing_context.errors import APIError, ContextError, from_problem
from processing_context.wire.events import EventsAccepted
from processing_context.wire.workers import JobEventsAnswer, WorkerEventsAccepted
from processing_context.worker.metrics import Timed

logger = logging.getLogger(__name__)

_MAX_JOBS = 100
_MAX_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class _Letter:
    """A batch of events of one job, and who waits for what becomes of it."""

    entry: bytes
    answered: asyncio.Future[EventsAccepted | None]


class Relay:
    """Sends what came from any job while one request was under way with the next one.

    The service answers for each job by itself. Where it does not take the request as a whole, each
    job is told to send for itself.
    """

    def __init__(self, api: Api, tally: Timed) -> None:
        """Send with the worker's token.

        Args:
            api: With that token.
            tally: Counts the requests.
        """
        self._api = api
        self._tally = tally
        self._worker_id: str | None = None
        self._letters: dict[str, _Letter] = {}
        self._filled = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None

    def serve(self, worker_id: str | None) -> None:
        """Send as this worker from now on; None: not at all."""
        self._worker_id = worker_id

    async def send(self, job_id: str, token: str, events: bytes) -> EventsAccepted | None:
        """Send a batch of a job, `{"events": […]}`; None: the job is to send it by itself.

        Raises:
            ContextError: The service refuses it, or is away.
        """
        if self._worker_id is None:
            return None
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all(), name="event-relay")
        who = json.dumps({"job_id": job_id, "token": token}, separators=(",", ":")).encode()
        letter = _Letter(
            b"%s,%s" % (who[:-1], events[1:]), asyncio.get_running_loop().create_future()
        )
        self._letters[job_id] = letter
        self._filled.set()
        try:
            return await letter.answered
        finally:
            if self._letters.get(job_id) is letter:
                del self._letters[job_id]

    async def aclose(self) -> None:
        """Send nothing more."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)

    async def _send_all(self) -> None:
        while True:
            await self._filled.wait()
            await asyncio.sleep(0)  # jobs that ended in the same turn of the loop go together
            self._filled.clear()
            while letters := self._take():
                await self._deliver(letters)

    def _take(self) -> dict[str, _Letter]:
        taken: dict[str, _Letter] = {}
        size = 0
        for job_id, letter in self._letters.items():
            if len(taken) == _MAX_JOBS or (taken and size + len(letter.entry) > _MAX_BYTES):
                break
            taken[job_id] = letter
            size += len(letter.entry)
        for job_id in taken:
            del self._letters[job_id]
        return taken

    async def _deliver(self, letters: dict[str, _Letter]) -> None:
        try:
            answers = await self._post([letter.entry for letter in letters.values()])
        except (APIError, ValueError) as error:
            logger.info("events are sent job by job: %s", error)
            for letter in letters.values():
                _settle(letter, None)
        except ContextError as error:
            for letter in letters.values():
                _settle(letter, error)
        else:
            for letter, answer in zip(letters.values(), answers, strict=True):
                _settle(letter, _read(answer))

    async def _post(self, entries: list[bytes]) -> list[JobEventsAnswer]:
        with self._tally.one():
            answered = await self._api.request(
                "POST",
                f"/v1/workers/{self._worker_id}/events",
                content=b'{"jobs":[%s]}' % b",".join(entries),
                is_json=True,
                is_hot=True,
                patience_s=PATIENCE_S,
            )
        answers = WorkerEventsAccepted.model_validate_json(answered.body).jobs
        if len(answers) != len(entries):
            raise ValueError(f"{len(answers)} answers to the events of {len(entries)} jobs")
        return answers


def _read(answer: JobEventsAnswer) -> EventsAccepted | APIError:
    if answer.problem is not None or answer.last_seq is None:
        return from_problem(answer.problem or {})
    return EventsAccepted(
        last_seq=answer.last_seq,
        cancel_requested=bool(answer.cancel_requested),
        lease_expires_at=answer.lease_expires_at,
    )


def _settle(letter: _Letter, answer: EventsAccepted | ContextError | None) -> None:
    if letter.answered.done():
        return
    if isinstance(answer, ContextError):
        letter.answered.set_exception(answer)
    else:
        letter.answered.set_result(answer)
