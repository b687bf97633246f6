"""Subscription to the events of a job over `/v1/ws`; reconnects, and yields each event once."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from processing_context import errors
from processing_context._transport.api import Api
from processing_context._transport.network import ssl_context
from processing_context._transport.retry import PATIENCE_S, Retry, Retryable, is_retried
from processing_context.wire.events import EVENT, Event, EventPage, JobUpdate
from processing_context.wire.jobs import ENDED
from processing_context.wire.sockets import Gap

logger = logging.getLogger(__name__)

_PING_S = 20.0
_OPEN_S = 20.0
_MAX_FRAME_BYTES = 64 * 1024 * 1024  # a snapshot holds all nodes of a job
_CLOSED = {
    4400: (400, "malformed_op", "the service rejected a message as malformed"),
    4401: (401, "unauthorized", "the token is unknown, revoked or expired"),
    4403: (403, "forbidden", "the token may not read events"),
}
_BROKEN = (OSError, TimeoutError, InvalidHandshake, ConnectionClosed)


class _ResumeError(Exception):  # not an error
    """The stream must be resumed after the last event."""


class JobEvents:
    """One subscription to a job's events.

    Args:
        api: The API client.
        job_id: The job.
        after: Number of the last event that is already known.
    """

    def __init__(self, api: Api, job_id: str, after: int = 0) -> None:
        if after < 0:
            raise ValueError(f"after= must be 0 or more, not {after}")
        self._api = api
        self._job_id = job_id
        self._last = after
        # The last event may be at or before `after`, or in a gap; then no more events would arrive.
        self._may_have_ended = after > 0

    async def read(self) -> AsyncGenerator[Event | Gap]:
        """Yield every event after `after`, until the one that ends the job.

        A `Gap` replaces events that retention has removed.

        Raises:
            NotFoundError: The job does not exist.
            AuthenticationError: The token is invalid, revoked or expired.
            ConnectionFailedError: The service has been unavailable for 15 minutes.
        """
        retry = Retry(patience_s=PATIENCE_S)
        while True:
            try:
                async with self._connected() as socket:
                    try:
                        await self._subscribe(socket)
                        async for event in self._received(socket):
                            retry.succeeded()
                            yield event
                            if isinstance(event, JobUpdate) and event.status in ENDED:
                                return
                        return
                    finally:
                        retry.heard()
            except InvalidStatus as exc:
                _raise_if_final(exc)
                failure: Exception = exc
            except ConnectionClosed as exc:
                if exc.rcvd is not None and exc.rcvd.code in _CLOSED:
                    status, code, detail = _CLOSED[exc.rcvd.code]
                    raise errors.from_problem(
                        {"status": status, "code": code, "detail": exc.rcvd.reason or detail}
                    ) from exc
                failure = exc
            except (*_BROKEN, _ResumeError) as exc:
                failure = exc
            await self._pause(retry, failure)

    def _connected(self) -> connect:
        url = "ws" + self._api.base_url.removeprefix("http") + "/v1/ws"
        return connect(
            url,
            additional_headers=self._api.auth_headers(),
            user_agent_header=None,
            ssl=ssl_context() if url.startswith("wss:") else None,
            open_timeout=_OPEN_S,
            ping_interval=_PING_S,
            ping_timeout=_PING_S,
            close_timeout=2,
            max_size=_MAX_FRAME_BYTES,
            max_queue=256,
        )

    async def _subscribe(self, socket: ClientConnection) -> None:
        op = {"op": "subscribe", "job_id": self._job_id, "after": self._last, "id": "events"}
        await socket.send(json.dumps(op))

    async def _received(self, socket: ClientConnection) -> AsyncIterator[Event | Gap]:
        async for text in socket:
            frame: dict[str, Any] = json.loads(text)
            kind = frame.get("type")
            if kind == "problem":
                self._fail(frame.get("problem") or {})
            elif kind == "gap":
                gap = self._gap(frame)
                if gap is not None:
                    yield gap
            elif kind == "caught_up":
                if self._may_have_ended and await self._has_ended():
                    return
            elif "seq" in frame:
                event = self._next(frame)
                if event is not None:
                    yield event
        raise _ResumeError("the service closed the socket")

    def _next(self, frame: dict[str, Any]) -> Event | None:
        seq = int(frame["seq"])
        if seq <= self._last:
            return None
        if int(frame.get("from_seq") or seq) > self._last + 1:
            raise _ResumeError(f"event {self._last + 1} is missing before {seq}")
        self._last = seq
        try:
            return EVENT.validate_python(frame, extra="allow")
        except ValidationError:
            logger.warning("job %s: event %d has an unknown form: ignored", self._job_id, seq)
            return None

    def _gap(self, frame: dict[str, Any]) -> Gap | None:
        to = int(frame["to"])
        if to <= self._last:
            return None
        if not frame.get("more"):
            self._last = to
            self._may_have_ended = True
            logger.warning("job %s: retention has removed the events up to %d", self._job_id, to)
        try:
            return Gap.model_validate(frame)
        except ValidationError:
            logger.warning(
                "job %s: the gap up to %d has an unknown form: ignored",
                self._job_id,
                to,
            )
            return None

    async def _has_ended(self) -> bool:
        page = await self._api.get(
            f"/v1/jobs/{self._job_id}/events",
            EventPage,
            params={"after": self._last, "limit": 1},
            patience_s=PATIENCE_S,
        )
        return page.terminal and not page.events

    def _fail(self, problem: dict[str, Any]) -> None:
        error = errors.from_problem(problem)
        if is_retried(error.status):
            raise _ResumeError(str(error))
        raise error

    async def _pause(self, retry: Retry, failure: Exception) -> None:
        error = errors.ConnectionFailedError(
            f"no events of job {self._job_id} for {PATIENCE_S:.0f} s: {failure}"
        )
        error.__cause__ = failure
        await retry.wait(Retryable(error), self._log)

    def _log(self, error: Exception, delay_s: float) -> None:
        logger.debug("job %s: reconnecting in %.1f s: %s", self._job_id, delay_s, error.__cause__)


def _raise_if_final(exc: InvalidStatus) -> None:
    status = exc.response.status_code
    if is_retried(status) or status >= 500:
        return
    raise errors.from_body(
        status,
        bytes(exc.response.body or b""),
        request_id=exc.response.headers.get("X-Request-Id"),
    ) from exc
