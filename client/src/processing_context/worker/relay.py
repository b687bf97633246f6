"""Relay of the events of all jobs of a worker, in few requests."""

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
class _PendingBatch:
    """A batch of events of one job, and the future of its result."""

    entry: bytes
    answered: asyncio.Future[EventsAccepted | None]


class Relay:
    """Relay that sends the batches that arrive during one request with the next one.

    The service responds for each job. If it refuses the request as a whole, each job sends its
    batch without the relay.
    """

    def __init__(self, api: Api, posts: Timed) -> None:
        """Create a relay that uses the worker's token.

        Args:
            api: API client with that token.
            posts: Counts the requests.
        """
        self._api = api
        self._posts = posts
        self._worker_id: str | None = None
        self._batches: dict[str, _PendingBatch] = {}
        self._filled = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None

    def serve(self, worker_id: str | None) -> None:
        """Set the id of the worker; None: jobs send their batches without the relay."""
        self._worker_id = worker_id

    async def send(self, job_id: str, token: str, events: bytes) -> EventsAccepted | None:
        """Send a batch of a job, `{"events": […]}`; return None if the job must send it itself.

        Raises:
            ContextError: The service refused the batch, or is unavailable.
        """
        if self._worker_id is None:
            return None
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all(), name="event-relay")
        who = json.dumps({"job_id": job_id, "token": token}, separators=(",", ":")).encode()
        batch = _PendingBatch(
            b"%s,%s" % (who[:-1], events[1:]), asyncio.get_running_loop().create_future()
        )
        self._batches[job_id] = batch
        self._filled.set()
        try:
            return await batch.answered
        finally:
            if self._batches.get(job_id) is batch:
                del self._batches[job_id]

    async def aclose(self) -> None:
        """Stop the sender."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)

    async def _send_all(self) -> None:
        while True:
            await self._filled.wait()
            await asyncio.sleep(0)  # jobs that ended in the same turn of the loop are sent together
            self._filled.clear()
            while batches := self._take():
                await self._deliver(batches)

    def _take(self) -> dict[str, _PendingBatch]:
        taken: dict[str, _PendingBatch] = {}
        size = 0
        for job_id, batch in self._batches.items():
            if len(taken) == _MAX_JOBS or (taken and size + len(batch.entry) > _MAX_BYTES):
                break
            taken[job_id] = batch
            size += len(batch.entry)
        for job_id in taken:
            del self._batches[job_id]
        return taken

    async def _deliver(self, batches: dict[str, _PendingBatch]) -> None:
        try:
            answers = await self._post([batch.entry for batch in batches.values()])
        except (APIError, ValueError) as error:
            logger.info("the relay is refused, each job sends its own events: %s", error)
            for batch in batches.values():
                _settle(batch, None)
        except ContextError as error:
            for batch in batches.values():
                _settle(batch, error)
        else:
            for batch, answer in zip(batches.values(), answers, strict=True):
                _settle(batch, _read(answer))

    async def _post(self, entries: list[bytes]) -> list[JobEventsAnswer]:
        with self._posts.one():
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
            raise ValueError(f"{len(answers)} results for the events of {len(entries)} jobs")
        return answers


def _read(answer: JobEventsAnswer) -> EventsAccepted | APIError:
    if answer.problem is not None or answer.last_seq is None:
        return from_problem(answer.problem or {})
    return EventsAccepted(
        last_seq=answer.last_seq,
        cancel_requested=bool(answer.cancel_requested),
        lease_expires_at=answer.lease_expires_at,
    )


def _settle(batch: _PendingBatch, answer: EventsAccepted | ContextError | None) -> None:
    if batch.answered.done():
        return
    if isinstance(answer, ContextError):
        batch.answered.set_exception(answer)
    else:
        batch.answered.set_result(answer)
