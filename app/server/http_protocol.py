"""uvicorn's HTTP protocol with limits on what a client may send, and how long it may take.

Nothing here depends on a token: the limits hold before a request is authenticated.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.http.problems import BadRequest, ProblemError
from app.server.connection_limits import MAX_UNPARSED_BYTES, ConnectionLimits
from app.server.refusal import HeadersTooLarge, TooManyConnections, UriTooLong, refusal
from app.server.transport import GatheringTransport
from app.server.websocket_protocol import WebSocketProtocol

MAX_PIPELINED = 100
"""Requests that one connection may send before the response to the first one."""

REFUSAL_S = 2
"""Time that a refused connection has to send its request, and then to read the response."""

MAX_DISCARDED_BYTES = 1024 * 1024
"""Data that a client may send after the response to a refused request, instead of reading it."""

_HEAD_AND_BODY = 2
_LINE_OVERHEAD = len(": \r\n")


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits on the head of a request, and on idle and stalled connections.

    Args:
        head_bytes: The size of the request line and the headers together.
        headers: The number of headers.
        head_s: The time to receive a head, or the rest of a body after an early response.
        keep_alive_s: The time without a request after which a connection is closed.
        stalled_s: The time without any progress of a client that should read a response.
    """

    head_bytes: int
    headers: int
    head_s: float
    keep_alive_s: float
    stalled_s: float


class HttpProtocol(HttpToolsProtocol):
    """HTTP protocol on a `GatheringTransport`, which an upgrade to a WebSocket keeps.

    What is received has to complete a head, a piece of a body or a request. Bytes that do not, as
    those of an unfinished head, of chunk extensions and of trailers, are counted and limited.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: ConnectionLimits,
        limits: RequestLimits,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.url = b""
        self.headers = []
        self._connections = connections
        self._limits = limits
        self._is_in_head = True
        self._has_progressed = False
        self._has_ended = False  # refused or upgraded: no more requests are read
        self._unparsed = 0
        self._received = 0
        self._discarded = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count a new connection, and start the time limit for its first request."""
        gathering = GatheringTransport(transport, self.loop, at_most=_HEAD_AND_BODY)
        super().connection_made(cast("asyncio.Transport", gathering))
        slot = self._connections.open(self.client[0] if self.client else None)
        if slot is None:
            self._has_ended = True
            transport.abort()
            return
        self._slot = slot
        gathering.on_lost = lambda: self._connections.close(slot)
        self._set_deadline(REFUSAL_S if slot.is_refused else self._limits.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting the connection."""
        super().connection_lost(exc)
        self._clear_deadline()
        self._clear_stall()
        self._forget_unparsed()
        cast("GatheringTransport", self.transport).lost()

    def data_received(self, data: bytes) -> None:
        """Parse data; refuse a head that is too large, and start or end time limits."""
        if self._has_ended:
            self._discard(len(data))
            return
        self._has_progressed = False
        self._received = self._unparsed + len(data)
        super().data_received(data)
        if self._has_ended:
            return
        if not self._has_progressed:
            self._count_unparsed(len(data))
        else:
            self._forget_unparsed()
            if self._is_in_head or self._is_serving:  # not while a body is discarded
                self._clear_deadline()
        if self._deadline is None and not (self._has_progressed and self._is_serving):
            is_idle = self._is_in_head and not self._unparsed
            self._set_deadline(self._limits.keep_alive_s if is_idle else self._limits.head_s)

    def on_headers_complete(self) -> None:
        """Start a request, unless its head exceeds a limit."""
        if self._has_ended:
            return
        self._has_progressed = True
        error = self._problem_of_head()
        if error is not None:
            self._refuse(error)
            return
        super().on_headers_complete()
        self._is_in_head = False
        if not self.parser.should_upgrade():
            self.headers = []  # those of the request are in its scope; trailers are dropped

    def on_body(self, body: bytes) -> None:
        """Pass on a piece of the body; it is discarded after the response."""
        if self._has_ended:
            return
        self._has_progressed = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; the next head may follow."""
        if self._has_ended:
            return
        self._is_in_head = True
        self._has_progressed = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Start the next request, or wait for it; the rest of an unread body is discarded."""
        super().on_response_complete()
        if self._slot.is_proxied:
            self._connections.unassign(self._slot)
        if not self._is_serving and self.cycle.more_body and self._deadline is None:
            self._set_deadline(self._limits.head_s)

    def send_400_response(self, msg: str) -> None:
        """Reply to a request that is not valid HTTP."""
        self._refuse(BadRequest(f"{msg} See RFC 9112 for the syntax."))

    def handle_websocket_upgrade(self) -> None:
        """Replace this protocol by that of WebSockets, for which writes are gathered without limit.

        The parser of WebSockets has lower limits on the head, and does not reply beyond them.
        """
        if self._has_ended:
            return
        self._clear_deadline()
        self._forget_unparsed()
        cast("GatheringTransport", self.transport).at_most = None
        super().handle_websocket_upgrade()
        protocol = cast("WebSocketProtocol", self.transport.get_protocol())
        if not protocol.handshake_initiated:
            error = HeadersTooLarge("The handshake has a header over 8 KiB, or over 128 headers.")
            self.transport.write(self._refusal(error))
            self.transport.close()
        self._has_ended = True

    def pause_writing(self) -> None:
        """Wait for the client to read, as long as it makes progress."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """Continue to write."""
        super().resume_writing()
        self._clear_stall()

    @property
    def _is_serving(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _problem_of_head(self) -> ProblemError | None:
        """Return the reason why a complete head is refused, or None."""
        if self._slot.is_refused:
            return TooManyConnections()
        if len(self.headers) > self._limits.headers:
            return self._too_large()
        if self._received > self._limits.head_bytes and self._is_head_too_long():
            return self._too_large()
        if len(self.pipeline) >= MAX_PIPELINED:
            return BadRequest(f"More than {MAX_PIPELINED} requests were sent at once.")
        if self._slot.is_proxied:
            forwarded = b",".join(v for k, v in self.headers if k == b"x-forwarded-for")
            if not self._connections.assign(self._slot, forwarded.decode("latin-1")):
                return TooManyConnections()
        return None

    def _is_head_too_long(self) -> bool:
        lines = (len(name) + len(value) + _LINE_OVERHEAD for name, value in self.headers)
        return len(self.url) + sum(lines) > self._limits.head_bytes

    def _too_large(self) -> ProblemError:
        limit = self._limits.head_bytes
        if len(self.url) > limit:
            return UriTooLong(limit)
        return HeadersTooLarge(
            f"The request line and the headers are longer than {limit} bytes, or there are more "
            f"than {self._limits.headers} headers."
        )

    def _count_unparsed(self, size: int) -> None:
        """Count bytes that completed nothing; refuse the request if they exceed a limit."""
        self._unparsed += size
        self._connections.unparsed_bytes += size
        if self._unparsed > self._limits.head_bytes or len(self.headers) > self._limits.headers:
            self._refuse(self._too_large())
        elif self._connections.unparsed_bytes > MAX_UNPARSED_BYTES:
            self._refuse(TooManyConnections())

    def _forget_unparsed(self) -> None:
        self._connections.unparsed_bytes -= self._unparsed
        self._unparsed = 0

    def _refuse(self, error: ProblemError) -> None:
        """Reply without the application, then close; the client may be sending still.

        There is no reply if it would be taken for that to an earlier request.
        """
        self._has_ended = True
        self._forget_unparsed()
        if self._is_serving or not self._is_in_head:
            self.transport.close()
            return
        self.transport.write(self._refusal(error))
        self.flow.resume_reading()
        self.transport.write_eof()
        self._clear_deadline()
        self._set_deadline(REFUSAL_S)

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > MAX_DISCARDED_BYTES:
            self.transport.abort()

    def _refusal(self, error: ProblemError) -> bytes:
        return refusal(
            error,
            url=self.url,
            request_headers=self.headers,
            default_headers=self.server_state.default_headers,
        )

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = self.loop.call_later(seconds, self._on_deadline)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        """Close the connection, but not while the response to a complete request is due."""
        self._deadline = None
        if self._is_serving and not self.cycle.more_body:
            self._set_deadline(self._limits.head_s)
        else:
            self.transport.close()

    def _watch_reader(self) -> None:
        waiting = cast("GatheringTransport", self.transport).unacknowledged()
        self._stall = self.loop.call_later(self._limits.stalled_s, self._check_reader, waiting)

    def _check_reader(self, before: int) -> None:
        """Abort the connection if the client has read nothing since the last check."""
        waiting = cast("GatheringTransport", self.transport).unacknowledged()
        if waiting >= before:
            self.transport.abort()
        else:
            self._watch_reader()

    def _clear_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
