"""Worker that claims one job after the other and completes it, and users of benchmarks."""

from __future__ import annotations

import time

import orjson

from scripts.benchmarks.requests import Connection

CLAIMS = 150


async def new_user(admin: Connection, name: str, *, fleet: bool = False) -> tuple[str, str]:
    """Return a new user's id and token, which may register workers."""
    user = await admin.post("/v1/users", orjson.dumps({"name": name}))
    scopes = ["user", "worker", *(["fleet"] if fleet else [])]
    body = {"name": name, "scopes": scopes, "user_id": user["id"]}
    return user["id"], (await admin.post("/v1/tokens", orjson.dumps(body)))["token"]


class ManualWorker:
    """A worker that claims one job after the other and completes it."""

    def __init__(self, api: Connection, worker_id: str) -> None:
        self.id = worker_id
        self._api = api
        self._path = f"/v1/workers/{worker_id}/claim"

    @classmethod
    async def of(cls, api: Connection) -> ManualWorker:
        """Register a worker."""
        worker = await api.post("/v1/workers", orjson.dumps({"name": "benchmark"}))
        return cls(api, worker["id"])

    async def rate(self) -> float:
        """Return the claims per second."""
        taken = 0.0
        for _ in range(CLAIMS):
            began = time.perf_counter()
            leases = (await self._api.post(self._path, b"{}"))["leases"]
            taken += time.perf_counter() - began
            if len(leases) != 1:
                raise RuntimeError(f"a claim returned {len(leases)} leases instead of 1")
            await self._end(leases[0])
        return CLAIMS / taken

    async def _end(self, lease: dict[str, object]) -> None:
        """Complete the job, since the number of a user's running jobs is limited."""
        event = {"client_seq": 1, "type": "job_update", "status": "completed", "result": {}}
        job = lease["job"]
        job_id = job["id"] if isinstance(job, dict) else ""
        path = f"/v1/jobs/{job_id}/events"
        await self._api.post(path, orjson.dumps({"events": [event]}), str(lease["token"]))
