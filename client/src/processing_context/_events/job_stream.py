"""Creation of a job and its events in one request."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from pydantic import ValidationError

from processing_context._transport.api import Api
from processing_context._transport.network import Stream, UnreachedError
from processing_context.wire.events import EVENT, Event, JobUpdate
from processing_context.wire.jobs import ENDED
from processing_context.wire.sockets import Gap

logger = logging.getLogger(__name__)

SILENCE_S = 45.0
"""The service sends a comment every 15 s; after a longer silence the connection is dead."""


class StartedJob:
    """A job that was just created, and the stream of its events.

    Args:
        api: The API client.
        stream: The response to the request that created the job.
    """

    def __init__(self, api: Api, stream: Stream) -> None:
        self.id = (stream.headers.get("Location") or "").rpartition("/")[2]
        self._api = api
        self._stream = stream
        self._last = 0

    @classmethod
    async def create(cls, api: Api, body: dict[str, Any]) -> StartedJob:
        """Create a job; a retry does not create a second one."""
        stream = await api.stream("/v1/jobs", body, accept="text/event-stream", silence_s=SILENCE_S)
        return cls(api, stream)

    async def events(self) -> AsyncGenerator[Event | Gap]:
        """Yield the job's events, up to the one that ends it; a broken stream is resumed."""
        try:
            async for event in self._read():
                yield event
                if isinstance(event, JobUpdate) and event.status in ENDED:
                    return
            logger.debug("job %s: the stream ended early", self.id)
        except UnreachedError as exc:
            logger.debug("job %s: the stream broke: %s", self.id, exc)
        finally:
            await self._stream.aclose()
        # websockets takes a fifth of this package's import time, and most streams do not break.
        from processing_context._events.stream import JobEvents

        async for event_or_gap in JobEvents(self._api, self.id, self._last).read():
            yield event_or_gap

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    async def _read(self) -> AsyncIterator[Event]:
        async for line in self._stream.lines():
            if not line.startswith("data:"):
                continue
            frame: dict[str, Any] = json.loads(line[5:])
            if int(frame.get("from_seq") or frame.get("seq") or 0) != self._last + 1:
                return  # a gap, or an unknown frame: resume with a new subscription
            self._last = int(frame["seq"])
            try:
                yield EVENT.validate_python(frame, extra="allow")
            except ValidationError:
                logger.warning(
                    "job %s: event %d has an unknown form: ignored",
                    self.id,
                    self._last,
                )
