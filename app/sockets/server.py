"""Server of accepted WebSockets, until they are closed."""

from __future__ import annotations

import asyncio

from starlette.types import Send
from starlette.websockets import WebSocket

from app.database.engine import Database
from app.events.broadcaster import Broadcaster
from app.events.open_streams import OpenStreams
from app.events.send_queue import RESTARTING, SendQueue
from app.http.auth import Principal, TokenLookup
from app.http.idempotency.open_keys import OpenKeys
from app.http.json_threads import JsonThreads
from app.http.rate_limits import RateLimiter
from app.jobs.cancellation import JobCancellation
from app.jobs.service import JobService
from app.runtime import metrics
from app.runtime.shutdown import Shutdown
from app.sockets.connection import Connection
from app.sockets.fast_send import start_eagerly
from app.sockets.subscriptions import Subscriptions
from processing_context.wire.graph import GraphLimits

CLOSE_GRACE_S = 5.0


class SocketServer:
    """Serves WebSockets.

    Args:
        db: The database.
        open_keys: The quota for idempotency keys.
        broadcaster: The source of events.
        jobs: The service for jobs.
        cancellation: Cancels jobs.
        open_streams: Closes WebSockets whose token is no longer valid.
        lease_tokens: Look-up of the tokens of leases.
        shutdown: Closes all WebSockets when the replica shuts down.
        threads: Threads to parse large messages.
        limits: The limits of graphs.
        rates: The rate limits of tokens.
        close_grace_s: The grace period for clients to read the close frame.
    """

    def __init__(
        self,
        db: Database,
        open_keys: OpenKeys,
        broadcaster: Broadcaster,
        jobs: JobService,
        cancellation: JobCancellation,
        open_streams: OpenStreams,
        lease_tokens: TokenLookup,
        shutdown: Shutdown,
        threads: JsonThreads,
        limits: GraphLimits,
        rates: RateLimiter,
        *,
        close_grace_s: float = CLOSE_GRACE_S,
    ) -> None:
        self._db = db
        self._open_keys = open_keys
        self._broadcaster = broadcaster
        self._jobs = jobs
        self._cancellation = cancellation
        self._open_streams = open_streams
        self._lease_tokens = lease_tokens
        self._shutdown = shutdown
        self._threads = threads
        self._limits = limits
        self._rates = rates
        self._close_grace_s = close_grace_s

    async def serve(self, websocket: WebSocket, send: Send, principal: Principal) -> None:
        """Serve an accepted WebSocket until it is closed.

        Args:
            websocket: The WebSocket.
            send: The ASGI `send`, since most frames bypass Starlette's `WebSocket`.
            principal: The caller.
        """
        send_queue = SendQueue(
            lambda text: start_eagerly(send({"type": "websocket.send", "text": text}))
        )
        connection = Connection(
            websocket,
            send_queue,
            principal,
            self._db,
            self._open_keys,
            self._jobs,
            self._cancellation,
            Subscriptions(self._broadcaster, self._jobs, send_queue, principal.user_id),
            self._threads,
            self._limits,
            self._rates,
            is_live=lambda: self._is_live(principal),
            close_grace_s=self._close_grace_s,
        )
        stopping = asyncio.create_task(self._shutdown.wait())
        stopping.add_done_callback(lambda _: send_queue.close(RESTARTING, "the service restarts"))
        open_ = self._open_streams.opened(principal, send_queue)
        with metrics.SOCKETS.track_inprogress(), open_:
            try:
                await connection.serve()
            finally:
                stopping.cancel()

    async def _is_live(self, principal: Principal) -> bool:
        """Return False if the token is that of a lease that has ended."""
        if principal.job_id is None:
            return True
        return bool(await self._lease_tokens.valid_among([principal.token_id]))
