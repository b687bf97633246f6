"""Outermost middleware: request ids, access log, metrics, and responses to exceptions."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.auth import Access
from app.http.headers import header, sane_request_id, sane_traceparent
from app.http.problems import from_exception, problem_response
from app.runtime import metrics, request_context
from app.runtime.ids import new_id

logger = logging.getLogger("app.access")

_CLIENT_ERROR = 400


class RequestContext:
    """Middleware that sets the request id, logs and measures requests, and handles exceptions."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = sane_request_id(header(scope, b"x-request-id")) or new_id()
        request_context.request_id.set(request_id)
        traceparent = header(scope, b"traceparent")
        request_context.traceparent.set(sane_traceparent(traceparent))
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        await self._serve(scope, receive, send, request_id)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as exc:
            if status:
                logger.exception("unhandled exception after the response had started")
                raise
            response = problem_response(from_exception(exc), instance=scope["path"])
            await response(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            route = scope.get("route")
            path = getattr(route, "path_format", "unmatched")
            metrics.observe_request(scope["method"], path, status, seconds)
            level = _level(getattr(route, "access", None), status)
            if logger.isEnabledFor(level):
                request = (scope["method"], scope["path"])
                logger.log(level, "%s %s %s %.1f ms", *request, status, seconds * 1000)


def _level(access: Access | None, status: int) -> int:
    is_routine = access is not None and access.polls and 0 < status < _CLIENT_ERROR
    return logging.DEBUG if is_routine else logging.INFO
