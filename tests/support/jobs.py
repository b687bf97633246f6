"""Helpers for tests of jobs: creating jobs, a manual worker, and WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.frames import hold
from tests.support.services import WAIT_S, Service, User, eventually

Event = dict[str, Any]

LOG: Event = {"type": "log", "level": "info", "message": "m"}


def graph(*node_types: str) -> dict[str, Any]:
    """Return a graph of nodes of these types, without edges."""
    types = node_types or ("test.Node",)
    return {"nodes": [{"id": f"n{i}", "type": name} for i, name in enumerate(types)], "edges": []}


async def start(user: User, **fields: Any) -> dict[str, Any]:
    """Create a job of a user; return it."""
    return await start_with(user.http, **fields)


async def start_with(http: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """Create a job with any HTTP client; return it."""
    reply = await http.post("/v1/jobs", json={"graph": graph(), **fields})
    assert reply.status_code == 202, reply.text
    job: dict[str, Any] = reply.json()
    assert reply.headers["location"] == f"/v1/jobs/{job['id']}"
    return job


async def get(user: User, job_id: str) -> dict[str, Any]:
    """Return a job of a user."""
    reply = await user.http.get(f"/v1/jobs/{job_id}")
    assert reply.status_code == 200, reply.text
    job: dict[str, Any] = reply.json()
    return job


async def events_of(user: User, job_id: str, **params: Any) -> list[Event]:
    """Return the events of a job."""
    reply = await user.http.get(f"/v1/jobs/{job_id}/events", params=params)
    assert reply.status_code == 200, reply.text
    events: list[Event] = reply.json()["events"]
    return events


@dataclass
class HeldJob:
    """A job that is leased to the test."""

    job: dict[str, Any]
    attempt: int
    token: str
    expires_at: str
    http: httpx.AsyncClient
    client_seq: int = 0

    @property
    def id(self) -> str:
        """The job's id."""
        return str(self.job["id"])

    async def send(self, *events: Event, first: int | None = None) -> httpx.Response:
        """Post events with the next `client_seq` numbers, or with those from `first` on."""
        start = self.client_seq + 1 if first is None else first
        numbered = [{"client_seq": n, **event} for n, event in enumerate(events, start)]
        self.client_seq = max(self.client_seq, start + len(events) - 1)
        return await self.http.post(
            f"/v1/jobs/{self.id}/events", json={"events": numbered}, headers=self.headers
        )

    async def post(self, *events: Event) -> dict[str, Any]:
        """Post events, and check that they are accepted."""
        reply = await self.send(*events)
        assert reply.status_code == 200, reply.text
        accepted: dict[str, Any] = reply.json()
        return accepted

    async def complete(self, **result: Any) -> dict[str, Any]:
        """Complete the job."""
        return await self.post({"type": "job_update", "status": "completed", "result": result})

    async def heartbeat(self) -> httpx.Response:
        """Renew the lease."""
        return await self.http.post(f"/v1/jobs/{self.id}/heartbeat", headers=self.headers)

    async def release(self) -> httpx.Response:
        """Release the lease."""
        return await self.http.post(f"/v1/jobs/{self.id}/release", headers=self.headers)

    @property
    def headers(self) -> dict[str, str]:
        """The Authorization header with the lease's token."""
        return {"Authorization": f"Bearer {self.token}"}


@dataclass
class HandWorker:
    """A registered worker that the test controls."""

    id: str
    http: httpx.AsyncClient

    async def claim(self, *, wait_s: float = 0, max_jobs: int = 1) -> list[HeldJob]:
        """Claim jobs."""
        reply = await self.http.post(
            f"/v1/workers/{self.id}/claim", json={"wait_s": wait_s, "max_jobs": max_jobs}
        )
        assert reply.status_code == 200, reply.text
        return [HeldJob(http=self.http, **_known(lease)) for lease in reply.json()["leases"]]

    async def take(self, *, wait_s: float = 0) -> HeldJob:
        """Claim one job, which has to be available, and confirm its lease."""
        [held] = await self.claim(wait_s=wait_s)
        reply = await held.heartbeat()
        assert reply.status_code == 200, reply.text
        return held


def _known(lease: dict[str, Any]) -> dict[str, Any]:
    return {name: lease[name] for name in ("job", "attempt", "token", "expires_at")}


async def worker_of(user: User, **fields: Any) -> HandWorker:
    """Register a worker with a user's own token, which needs the scope `worker`."""
    reply = await user.http.post("/v1/workers", json={"name": "by hand", **fields})
    assert reply.status_code == 201, reply.text
    return HandWorker(reply.json()["id"], user.http)


async def held_job(user: User, **fields: Any) -> HeldJob:
    """Create a job, and claim it with a new worker."""
    await start(user, **fields)
    return await (await worker_of(user)).take()


async def status_is(user: User, job_id: str, *statuses: str) -> None:
    """Wait until a job has one of these statuses."""

    async def holds() -> bool:
        return (await get(user, job_id))["status"] in statuses

    await eventually(holds)


def refusal(reply: httpx.Response) -> tuple[int, str]:
    """Return the status and the code of a problem."""
    return reply.status_code, reply.json()["code"]


async def let_lease_run_out(service: Service, job_id: str) -> None:
    """Expire a lease, and wait until the service has ended it.

    Tests do not use short leases instead, which would expire too early on a slow machine.
    """
    pool = service.db.pool
    expire = "update job_leases set expires_at = now() where job_id = $1 and ended_at is null"
    live = "select count(*) from job_leases where job_id = $1 and ended_at is null"
    await service.run(pool.execute(expire, job_id))

    async def has_ended() -> bool:
        return not await service.run(pool.fetchval(live, job_id))

    await eventually(has_ended)


@asynccontextmanager
async def owner(service: Service) -> AsyncIterator[User]:
    """A new user with a token that may also register workers."""
    async with await service.new_user(scopes=("user", "worker")) as made:
        yield made


class Socket:
    """WebSocket of a test; received frames are validated against openapi/asyncapi.yaml."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, **op: Any) -> None:
        """Send an op."""
        await self.connection.send(json.dumps(op))

    async def receive(self, within_s: float = WAIT_S) -> dict[str, Any]:
        """Return the next frame."""
        async with asyncio.timeout(within_s):
            frame: dict[str, Any] = json.loads(await self.connection.recv())
        return hold(frame)

    async def until(self, kind: str, within_s: float = WAIT_S) -> list[dict[str, Any]]:
        """Return the frames up to and including the first one of a type."""
        frames = [await self.receive(within_s)]
        while frames[-1]["type"] != kind:
            frames.append(await self.receive(within_s))
        return frames

    async def until_end(self, within_s: float = WAIT_S) -> list[dict[str, Any]]:
        """Return the frames up to and including the event that ends a job."""
        frames = [await self.receive(within_s)]
        while frames[-1].get("status") not in ("completed", "failed", "cancelled"):
            frames.append(await self.receive(within_s))
        return frames

    async def closed(self, within_s: float = WAIT_S) -> int:
        """Return the close code of the service; earlier frames are dropped."""
        async with asyncio.timeout(within_s):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await self.connection.recv()
        code = self.connection.close_code
        assert code is not None
        return code


def small_socket(service: Service) -> socket.socket:
    """Return a connection with a small receive buffer, for tests of slow readers."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    made.connect(("127.0.0.1", service.settings.port))
    return made


@asynccontextmanager
async def open_socket(service: Service, token: str | None, **options: Any) -> AsyncIterator[Socket]:
    """Open a WebSocket with a token in the Authorization header."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    url = service.ws_url + options.pop("query", "")
    async with connect(
        url, additional_headers={**headers, **options.pop("headers", {})}, **options
    ) as connection:
        yield Socket(connection)


def seqs(frames: list[dict[str, Any]]) -> list[int]:
    """Return the `seq` of the events among frames."""
    return [frame["seq"] for frame in frames if "attempt" in frame]
