"""A leased job whose events a benchmark posts in place of a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson

from scripts.benchmarks.stack import Stack

GRAPH: dict[str, Any] = {"nodes": [{"id": "n", "type": "benchmark.Node"}], "edges": []}


HEARTBEAT_S = 5


class Lease:
    """Lease of one job, which posts its events.

    Args:
        api: A client with a user's token.
        lease: The lease that the claim returned.
        url: The URL of the replica to post to.
    """

    def __init__(self, api: httpx.AsyncClient, lease: dict[str, Any], url: str) -> None:
        self.job_id: str = lease["job"]["id"]
        self.token: str = lease["token"]
        self.path = f"/v1/jobs/{self.job_id}/events"
        self._api = api
        self._headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
        }
        self._url = url + self.path
        self._client_seq = 0

    @classmethod
    @asynccontextmanager
    async def of(cls, stack: Stack, url: str | None = None) -> AsyncIterator[Lease]:
        """Create a job, claim it, and complete it at the end."""
        async with httpx.AsyncClient(base_url=stack.url, headers=stack.headers, timeout=60) as api:
            worker = {"name": "benchmark", "capabilities": ["benchmark"]}
            made = (await api.post("/v1/workers", json=worker)).raise_for_status()
            job = {"graph": GRAPH, "required_capabilities": ["benchmark"]}
            (await api.post("/v1/jobs", json=job)).raise_for_status()
            claim = await api.post(f"/v1/workers/{made.json()['id']}/claim", json={"wait_s": 30})
            lease = cls(api, claim.raise_for_status().json()["leases"][0], url or stack.url)
            heartbeats = asyncio.create_task(lease.send_heartbeats())
            try:
                yield lease
            finally:
                heartbeats.cancel()
            await lease.post([{"type": "job_update", "status": "completed", "result": {}}])

    async def send_heartbeats(self) -> None:
        """Renew the lease until cancelled."""
        while True:
            await self._api.post(f"/v1/jobs/{self.job_id}/heartbeat", headers=self._headers)
            await asyncio.sleep(HEARTBEAT_S)

    async def post(self, events: list[dict[str, Any]]) -> None:
        """Post a batch of events."""
        body = self.body(events)
        (await self._api.post(self._url, content=body, headers=self._headers)).raise_for_status()

    def body(self, events: list[dict[str, Any]]) -> bytes:
        """Return the body of the next batch; batches have to be posted in this order."""
        first = self._client_seq + 1
        self._client_seq += len(events)
        numbered = [{"client_seq": number, **event} for number, event in enumerate(events, first)]
        return orjson.dumps({"events": numbered})

    async def log(self, *messages: str) -> None:
        """Post log lines in one batch."""
        await self.post(lines(*messages))


def lines(*messages: str) -> list[dict[str, Any]]:
    """Return the events of log lines."""
    return [{"type": "log", "level": "info", "message": text} for text in messages]
