"""Worker that the test controls: it claims jobs and posts events on request."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.support.services import WAIT_S, Service, User


class HandWorker:
    """Registered worker with its own token, which runs one job at a time."""

    def __init__(self, http: httpx.AsyncClient, worker_id: str) -> None:
        self._http = http
        self._worker_id = worker_id
        self.job: dict[str, Any] = {}
        self.token = ""
        self._seq = 0

    @classmethod
    async def of(cls, service: Service, user: User) -> HandWorker:
        """Return a worker for the user's jobs."""
        token = await service.new_token(user.id, ("worker",))
        http = service.client(token)
        reply = await http.post("/v1/workers", json={"name": "by hand", "slots": 100})
        assert reply.status_code == 201, reply.text
        return cls(http, reply.json()["id"])

    async def claim(self, *, begin: bool = True) -> dict[str, Any]:
        """Wait for a job and claim it; with `begin`, post the event that it is running."""
        path = f"/v1/workers/{self._worker_id}/claim"
        leases: list[dict[str, Any]] = []
        async with asyncio.timeout(WAIT_S):
            while not leases:
                reply = await self._http.post(path, json={"wait_s": 10, "max_jobs": 1})
                assert reply.status_code == 200, reply.text
                leases = reply.json()["leases"]
        [lease] = leases
        self.job, self.token, self._seq = lease["job"], lease["token"], 0
        if begin:
            await self.say({"type": "job_update", "status": "running"})
        return self.job

    async def say(self, *events: dict[str, Any]) -> None:
        """Post events."""
        numbered = []
        for event in events:
            self._seq += 1
            numbered.append({"client_seq": self._seq, **event})
        reply = await self._http.post(
            f"/v1/jobs/{self.job['id']}/events",
            json={"events": numbered},
            headers={"Authorization": f"Bearer {self.token}"},
        )
        assert reply.status_code == 200, reply.text

    async def log(self, *messages: object) -> None:
        """Post log lines."""
        await self.say(*({"type": "log", "level": "info", "message": str(m)} for m in messages))

    async def complete(self, **result: Any) -> None:
        """Complete the job."""
        await self.say({"type": "job_update", "status": "completed", "result": result})

    async def fail(self, message: str, node_id: str) -> None:
        """Fail the job."""
        error = {"code": "node_failed", "message": message, "node_id": node_id}
        await self.say({"type": "job_update", "status": "failed", "error": error})

    async def aclose(self) -> None:
        """Unregister."""
        await self._http.delete(f"/v1/workers/{self._worker_id}")
        await self._http.aclose()
