"""Wake-ups across replicas: gathered NOTIFYs that carry ids only.

They may be lost without harm, since whoever waits also polls slowly. They are never sent from the
transaction that stored something: a NOTIFY takes a lock over the whole database at commit.
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
GATHER_S = 0.002
RECONNECT_S = (0.1, 0.2, 0.5, 1.0, 2.0)

_NOTIFY = f"select pg_notify('{CHANNEL}', p) from unnest($1::text[]) p"

Handler = Callable[[str], None]


class Notifications:
    """Tells other replicas, and hears from them.

    A message is `<replica> <topic> <text>`; a replica passes over its own, whose news its own code
    spreads.
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
        """Call `handler(text)` for each message of another replica on `topic`; it must be quick."""
        self._handlers[topic] = handler

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Call `callback` after a gap in listening: anything may have been missed."""
        self._on_reconnect.append(callback)

    def notify(self, topic: str, text: str) -> None:
        """Tell the other replicas soon; the same message twice is told once."""
        self._outgoing[f"{self._replica} {topic} {text}"] = None
        self._pending.set()

    async def start(self) -> None:
        """Begin to listen and to tell."""
        self._tasks = [
            asyncio.create_task(self._listen(), name="notifications-listen"),
            asyncio.create_task(self._send(), name="notifications-send"),
        ]

    async def stop(self) -> None:
        """End both."""
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
                logger.warning("wake-ups lost, readers will poll: %s", exc)
            await asyncio.sleep(GATHER_S)

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
            logger.warning("the LISTEN connection ended, connecting again")

    def _receive(self, _connection: Connection, _pid: int, _channel: str, payload: object) -> None:
        replica, _, rest = str(payload).partition(" ")
        topic, _, text = rest.partition(" ")
        if replica == self._replica or topic not in self._handlers:
            return
        self._handlers[topic](text)
