"""Reader of many jobs over unreliable WebSockets, which checks the order of events."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from processing_context.wire.jobs import ENDED

BROKEN = (OSError, TimeoutError, ConnectionClosed, InvalidHandshake)
OPEN_S = 20.0


class Watcher:
    """Reader of jobs on one WebSocket; after a reconnection it resumes each job.

    Attributes:
        seen: The events of each job, in order of receipt.
        sockets: The number of connections so far.
    """

    def __init__(self, url: str, token: str) -> None:
        self.seen: dict[str, list[dict[str, Any]]] = {}
        self.sockets = 0
        self._url = url.replace("http", "ws", 1) + "/v1/ws"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._open: set[str] = set()
        self._new: asyncio.Queue[str] = asyncio.Queue()

    @property
    def has_seen_all(self) -> bool:
        """True if all jobs have ended."""
        return not self._open

    def follow(self, job_id: str) -> None:
        """Subscribe to a job, from its first event to its end."""
        self.seen[job_id] = []
        self._open.add(job_id)
        self._new.put_nowait(job_id)

    async def run(self) -> None:
        """Read until cancelled.

        Raises:
            AssertionError: An event was duplicated, lost, or out of order.
        """
        while True:
            try:
                async with connect(
                    self._url,
                    additional_headers=self._headers,
                    open_timeout=OPEN_S,
                    close_timeout=1,
                ) as socket:
                    self.sockets += 1
                    await self._read(socket)
            except BROKEN:
                await asyncio.sleep(random.uniform(0.05, 0.3))

    async def _read(self, socket: ClientConnection) -> None:
        while not self._new.empty():
            self._new.get_nowait()
        for job_id in list(self._open):
            await self._subscribe(socket, job_id)
        asking = asyncio.create_task(self._subscribe_to_new(socket))
        try:
            async for text in socket:
                self._take(json.loads(text))
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _subscribe_to_new(self, socket: ClientConnection) -> None:
        while True:
            await self._subscribe(socket, await self._new.get())

    async def _subscribe(self, socket: ClientConnection, job_id: str) -> None:
        after = self.seen[job_id][-1]["seq"] if self.seen[job_id] else 0
        await socket.send(json.dumps({"op": "subscribe", "job_id": job_id, "after": after}))

    def _take(self, frame: dict[str, Any]) -> None:
        if "attempt" not in frame:
            assert frame["type"] in ("subscribed", "caught_up", "problem"), frame
            if frame["type"] == "problem":
                # The replica cannot reach its database: reconnect, possibly to another replica.
                assert frame["problem"]["status"] == 503, frame
                raise TimeoutError
            return
        events = self.seen[frame["job_id"]]
        last = events[-1]["seq"] if events else 0
        assert frame.get("from_seq", frame["seq"]) == last + 1, (last, frame)
        events.append(frame)
        if frame.get("status") in ENDED and frame["type"] == "job_update":
            self._open.discard(frame["job_id"])
