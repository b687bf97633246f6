"""Notifications between replicas by LISTEN and batched NOTIFY; they carry ids only.

They may be lost: every listener also polls. They are sent outside of the transaction that stores
something, because the commit of a NOTIFY takes a lock on the whole database.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

from app.database.engine import Database
from app.database.errors import DATABASE_AWAY, is_database_away
from app.database.statement import Connection

logger = logging.getLogger(__name__)

CHANNEL = "context"
BATCH_S = 0.002
"""Pause between two NOTIFY statements; messages that arrive meanwhile are sent together."""

RECONNECT_S = (0.1, 0.2, 0.5, 1.0, 2.0)

_NOTIFY = f"select pg_notify('{CHANNEL}', p) from unnest($1::text[]) p"

Handler = Callable[[str], None]


class Notifications:
    """Sender and receiver of the notifications of one replica.

    A payload is `<replica> <topic> <text>`. A replica ignores its own messages: its code calls the
    local handlers directly.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._replica = secrets.token_hex(4)
        self._handlers: dict[str, Handler] = {}
        self._on_reconnect: list[Callable[[], None]] = []
        self._outgoing: dict[str, None] = {}
        self._pending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def on(self, topic: str, handler: Handler) -> None:
        """Call `handler(text)` for each message of other replicas on `topic`; it must not block."""
        self._handlers[topic] = handler

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each reconnection, since messages may have been missed."""
        self._on_reconnect.append(callback)

    def notify(self, topic: str, text: str) -> None:
        """Send a message to the other replicas with the next batch; duplicates are dropped."""
        self._outgoing[f"{self._replica} {topic} {text}"] = None
        self._pending.set()

    async def start(self) -> None:
        """Start listening and sending."""
        self._tasks = [
            asyncio.create_task(self._listen(), name="notifications-listen"),
            asyncio.create_task(self._send(), name="notifications-send"),
        ]

    async def stop(self) -> None:
        """Stop listening and sending."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self) -> None:
        while True:
            await self._pending.wait()
            self._pending.clear()
            batch, self._outgoing = list(self._outgoing), {}
            try:
                await self._db.pool.execute(_NOTIFY, batch)
            except Exception as exc:
                if not is_database_away(exc):
                    raise
                logger.warning("notifications lost, their receivers will poll: %s", exc)
            await asyncio.sleep(BATCH_S)

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                connection = await self._db.connect()
            except Exception as exc:
                if not is_database_away(exc):
                    raise
                await asyncio.sleep(RECONNECT_S[min(failures, len(RECONNECT_S) - 1)])
                failures += 1
                continue
            ended = asyncio.Event()
            connection.add_termination_listener(lambda _, ended=ended: ended.set())
            try:
                await connection.add_listener(CHANNEL, self._receive)
                for callback in self._on_reconnect:
                    callback()
                failures = 0
                await ended.wait()
            except DATABASE_AWAY as exc:
                logger.warning("LISTEN failed: %s", exc)
            finally:
                connection.terminate()
            logger.warning("the LISTEN connection was closed, reconnecting")

    def _receive(self, _connection: Connection, _pid: int, _channel: str, payload: object) -> None:
        replica, _, rest = str(payload).partition(" ")
        topic, _, text = rest.partition(" ")
        if replica == self._replica or topic not in self._handlers:
            return
        self._handlers[topic](text)
