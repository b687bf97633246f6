"""Connection of one WebSocket: reads operations, and writes replies and events."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal, assert_never

import orjson
import pydantic
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.database.engine import Database
from app.events.schemas import job_json
from app.events.send_queue import UNAUTHORIZED, SendQueue, SendQueueClosed
from app.http.auth import Principal
from app.http.idempotency.keys import IdempotencyKey
from app.http.idempotency.open_keys import OpenKeys
from app.http.json_parser import IntegersTooLarge, TooDeep, parse_json
from app.http.json_threads import JsonThreads
from app.http.problems import NotFound, from_exception, problem, validation_problem
from app.http.rate_limits import RateLimiter
from app.jobs.cancellation import JobCancellation
from app.jobs.service import JobService
from app.sockets.errors import MALFORMED, MalformedMessage, Refused
from app.sockets.subscriptions import Subscriptions
from processing_context.wire.graph import GraphLimits
from processing_context.wire.sockets import OP, Cancel, Ping, Run, Subscribe, Unsubscribe

logger = logging.getLogger(__name__)

Op = Subscribe | Unsubscribe | Run | Cancel | Ping


class Connection:
    """Serves one WebSocket until either side closes it.

    Args:
        websocket: The accepted WebSocket.
        send_queue: The frames to send.
        principal: The caller.
        db: The database, for idempotency keys.
        open_keys: The quota for idempotency keys.
        jobs: The jobs.
        cancellation: Cancels jobs.
        subscriptions: The caller's subscriptions, which send to the same `send_queue`.
        threads: Threads to parse large messages.
        limits: The limits of graphs.
        is_live: Returns False once the lease of the caller's token has ended.
        rates: The rate limits of tokens; an op counts as a request.
        close_grace_s: The grace period for the client to read the close frame.
    """

    def __init__(
        self,
        websocket: WebSocket,
        send_queue: SendQueue,
        principal: Principal,
        db: Database,
        open_keys: OpenKeys,
        jobs: JobService,
        cancellation: JobCancellation,
        subscriptions: Subscriptions,
        threads: JsonThreads,
        limits: GraphLimits,
        rates: RateLimiter,
        *,
        is_live: Callable[[], Awaitable[bool]],
        close_grace_s: float,
    ) -> None:
        self._websocket = websocket
        self._send_queue = send_queue
        self._principal = principal
        self._db = db
        self._open_keys = open_keys
        self._jobs = jobs
        self._cancellation = cancellation
        self._subscriptions = subscriptions
        self._threads = threads
        self._limits = limits
        self._is_live = is_live
        self._rates = rates
        self._close_grace_s = close_grace_s

    async def serve(self) -> None:
        """Read and write concurrently until one of them ends."""
        parts = (self._read, self._write, self._close_after_grace)
        tasks = [asyncio.create_task(part()) for part in parts]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._subscriptions.close()
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, WebSocketDisconnect):
                raise end

    async def _write(self) -> None:
        try:
            while True:
                for _, text in await self._send_queue.take():
                    await self._websocket.send_text(text)
        except OSError:
            return  # the client has disconnected
        except SendQueueClosed as end:
            with contextlib.suppress(RuntimeError):
                await self._websocket.close(end.code, end.reason)

    async def _close_after_grace(self) -> None:
        """Return after the grace period once the queue is closed: the client may not be reading."""
        await self._send_queue.wait_closed()
        await asyncio.sleep(self._close_grace_s)

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                await self._handle(message.get("text") or message.get("bytes") or "")
            except MalformedMessage as exc:
                self._send_queue.close(MALFORMED, str(exc)[:100])
                await asyncio.Event().wait()
            except Refused as exc:
                self._send_queue.close(exc.code, exc.reason)
                await asyncio.Event().wait()

    async def _handle(self, data: str | bytes) -> None:
        if not await self._is_live():
            raise Refused(UNAUTHORIZED, "the lease of the token has ended")
        tag = None
        try:
            raw = await self._threads.run(len(data), _load, data)
            tag = _tag(raw)
            self._rates.take(self._principal.rate_key)
            await self._execute(await self._threads.run(len(data), _parse, raw, self._limits))
        except (MalformedMessage, Refused):
            raise
        except (IntegersTooLarge, TooDeep) as exc:
            tag = _tag(await self._threads.run(len(data), orjson.loads, data))
            self._send("problem", tag, problem=problem(exc, instance="/v1/ws"))
        except Exception as exc:
            self._send("problem", tag, problem=problem(from_exception(exc), instance="/v1/ws"))

    async def _execute(self, op: Op) -> None:
        if isinstance(op, Subscribe):
            await self._subscribe(op)
        elif isinstance(op, Unsubscribe):
            self._subscriptions.drop(job_id=op.job_id, all_jobs=op.jobs is not None)
            self._send("reply", op.id)
        elif isinstance(op, Run):
            await self._run(op)
        elif isinstance(op, Cancel):
            await self._cancellation.cancel(self._principal, op.job_id)
            await self._reply_with_job(op.id, op.job_id)
        elif isinstance(op, Ping):
            self._send("pong", op.id)
        else:
            assert_never(op)

    async def _subscribe(self, op: Subscribe) -> None:
        if op.job_id is not None:
            await self._subscriptions.follow(op.job_id, after=op.after, tag=op.id)
        elif op.jobs is not None:
            await self._subscriptions.follow_all(tag=op.id)
        else:
            raise NotFound(f"Thread {op.thread_id} was not found.")

    async def _run(self, op: Run) -> None:
        user_id = self._principal.user_id
        key = IdempotencyKey(self._db, self._open_keys, user_id, "/v1/jobs", op.idempotency_key)
        has_failed = True
        try:
            created = await self._jobs.create(self._principal, op.request, key)
            has_failed = False
        finally:
            await asyncio.shield(key.close(has_failed=has_failed))
        await self._reply_with_job(op.id, created.id)
        await self._subscriptions.follow(created.id, after=0)

    async def _reply_with_job(self, tag: str | int | None, job_id: str) -> None:
        view = await self._jobs.get(self._principal.user_id, job_id)
        self._send("reply", tag, job=job_json(*view))

    def _send(
        self, kind: Literal["reply", "problem", "pong"], tag: str | int | None, **fields: Any
    ) -> None:
        frame = {"type": kind, **({} if tag is None else {"id": tag}), **fields}
        self._send_queue.put(orjson.dumps(frame, option=orjson.OPT_UTC_Z).decode())


def _load(data: str | bytes) -> object:
    """Return the value of a message.

    Raises:
        MalformedMessage: The message is not JSON.
        TooDeep: It is nested too deeply.
        IntegersTooLarge: It has an integer beyond 64 bits.
    """
    try:
        return parse_json(data)
    except orjson.JSONDecodeError:
        raise MalformedMessage("a message must be a JSON object") from None


def _tag(raw: object) -> str | int | None:
    """Return the `id` of a message.

    Raises:
        MalformedMessage: It is not a text or an integer, so that the reply could not repeat it.
    """
    tag = raw.get("id") if isinstance(raw, dict) else None
    if not isinstance(tag, str | int | None):
        raise MalformedMessage("id: the tag of an op must be a text or an integer")
    return tag


def _parse(raw: object, limits: GraphLimits) -> Op:
    """Return the operation of a message.

    Raises:
        MalformedMessage: The message is not an operation.
        ProblemError: The request of a `run` operation is invalid.
    """
    try:
        return OP.validate_python(raw, context=limits)
    except pydantic.ValidationError as exc:
        errors = exc.errors(include_url=False, include_input=False, include_context=False)
        in_request = [
            {"loc": error["loc"][1:], "msg": error["msg"], "type": error["type"]}
            for error in errors
            if error["loc"][:2] == ("run", "request")
            and (len(error["loc"]) > 2 or error["type"] != "missing")
        ]
        if len(in_request) == len(errors):
            raise validation_problem(in_request) from None
        first = errors[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedMessage(f"{where}: {first['msg']}" if where else first["msg"]) from None
