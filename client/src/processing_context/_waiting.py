"""Notice of the reason why a job has not started."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from processing_context.errors import ContextError
from processing_context.wire.events import Log
from processing_context.wire.jobs import Job, JobStatus

logger = logging.getLogger(__name__)

FIRST_AFTER_S = 1.0
_CAP_S = 30.0


class WaitingNotice:
    """Reports why a queued job waits: after a second, and again when the reason changes.

    The report is a warning in the log of this process, and a `log` message without `seq`.

    Args:
        find: Returns the job.
        post: Receives the message.
    """

    def __init__(
        self, find: Callable[[], Awaitable[Job]], post: Callable[[Log], Awaitable[None]]
    ) -> None:
        self._find = find
        self._post = post
        self._watching: asyncio.Task[None] | None = None

    def update(self, status: JobStatus) -> None:
        """Start to watch a job that is queued; stop once it is not."""
        if status != "queued":
            self.close()
        elif self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="waiting-notice")

    def close(self) -> None:
        """Stop to watch."""
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    async def _watch(self) -> None:
        delay_s, reported = FIRST_AFTER_S, None
        while True:
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _CAP_S)
            try:
                job = await self._find()
            except ContextError as error:
                logger.debug("the reason why a job waits is not known: %s", error)
                continue
            if job.status != "queued":
                return
            if job.waiting_reason not in (None, reported):
                reported = job.waiting_reason
                message = f"job {job.id} is queued: {reported}"
                logger.warning("%s", message)
                await self._post(Log(level="warning", message=message, job_id=job.id))
