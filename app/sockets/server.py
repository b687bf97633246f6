"""Serving of WebSockets from the end of the handshake to the close."""

from __future__ import annotations

import asyncio

from starlette.types import Send
from starlette.websockets import WebSocket

from app.database.engine import Database
from app.events.broadcaster import Hub
from app.events.send_queue import RESTARTING, Outbox
from app.http.auth import Principal
from app.jobs.service import Jobs
from app.runtime.shutdown import Shutdown
from app.sockets.connection import Connection
from app.sockets.fast_send import start_eagerly
from app.sockets.registry import SocketRegistry
from app.sockets.subscriptions import Subscriptions

CLOSE_GRACE_S = 5.0


class SocketServer:
    """Serves WebSockets.

    Args:
        db: The database.
        hub: Broadcasts events.
        jobs: The jobs.
        registry: Closes WebSockets whose token is no longer valid.
        shutdown: Closes all WebSockets.
        close_grace_s: The time in which a client has to take the close frame.
    """

    def __init__(
        self,
        db: Database,
        hub: Hub,
        jobs: Jobs,
        registry: SocketRegistry,
        shutdown: Shutdown,
        *,
        close_grace_s: float = CLOSE_GRACE_S,
    ) -> None:
        self._db = db
        self._hub = hub
        self._jobs = jobs
        self._registry = registry
        self._shutdown = shutdown
        self._close_grace_s = close_grace_s

    async def serve(self, websocket: WebSocket, send: Send, principal: Principal) -> None:
        """Serve an accepted WebSocket until it is closed.

        Args:
            websocket: The WebSocket.
            send: Its ASGI `send`: most frames bypass Starlette's `WebSocket`.
            principal: The caller.
        """
        outbox = Outbox(lambda text: start_eagerly(send({"type": "websocket.send", "text": text})))
        connection = Connection(
            websocket,
            outbox,
            principal,
            self._db,
            self._jobs,
            Subscriptions(self._db, self._hub, self._jobs, outbox, principal.user_id),
            close_grace_s=self._close_grace_s,
        )
        self._registry.add(principal, outbox)
        stopping = asyncio.create_task(self._shutdown.wait())
        stopping.add_done_callback(lambda _: outbox.close(RESTARTING, "the service restarts"))
        try:
            await connection.serve()
        finally:
            stopping.cancel()
            self._registry.remove(principal, outbox)
