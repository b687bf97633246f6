"""The way of an event from a worker to a socket."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

import asyncpg
import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect

from app.core.db import connect_args
from scripts.benchmarks.jobs import GRAPH
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row, quantile

EVENTS = 1000
EVENTS_A_SECOND = 200
_INSERT = "insert into benchmark_events (id, message) values ($1, 'queued')"


async def rows(stack: Stack, _: int) -> list[Row]:
    """Measure the way of each of many events."""
    pool = await asyncpg.create_pool(**connect_args(stack.database_url), min_size=1, max_size=8)
    api = httpx.AsyncClient(base_url=stack.url, headers=stack.headers, timeout=60)
    async with pool, api:
        await pool.execute("create table benchmark_events (id bigint primary key, message text)")
        return await _latency(api, pool, stack.url, stack.token)


async def _latency(api: httpx.AsyncClient, pool: Any, url: str, token: str) -> list[Row]:
    """Send events of one job at a steady rate; time each from before its POST to the socket."""
    lease = await _lease(api)
    job_id, job_token = lease["job"]["id"], lease["token"]
    sent: dict[int, float] = {}
    taken: list[float] = []
    headers = {"Authorization": f"Bearer {job_token}"}
    ws_url = url.replace("http", "ws", 1) + "/v1/ws"
    async with (
        connect(ws_url, additional_headers={"Authorization": f"Bearer {token}"}) as socket,
        httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as worker,
    ):
        await socket.send(orjson.dumps({"op": "subscribe", "job_id": job_id}).decode())
        reader = asyncio.create_task(_read(socket, sent, taken))
        started = time.perf_counter()
        for number in range(1, EVENTS + 1):
            await asyncio.sleep(max(0, started + number / EVENTS_A_SECOND - time.perf_counter()))
            sent[number] = time.perf_counter()
            event = {"client_seq": number, "type": "log", "level": "info", "message": str(number)}
            reply = await worker.post(f"/v1/jobs/{job_id}/events", json={"events": [event]})
            reply.raise_for_status()
        await reader
        end = {"client_seq": EVENTS + 1, "type": "job_update", "status": "completed", "result": {}}
        reply = await worker.post(f"/v1/jobs/{job_id}/events", json={"events": [end]})
        reply.raise_for_status()
    commits = [await _commit_s(pool, -number) for number in range(1, 300)]
    limit = statistics.median(commits)
    return [
        Row(
            f"event POST to socket at {EVENTS_A_SECOND}/s, {name} / one bare insert, p50",
            f"{quantile(taken, share) * 1000:.1f} ms",
            f"{limit * 1000:.2f} ms",
            f"{quantile(taken, share) / limit:.1f}",
        )
        for name, share in (("p50", 0.5), ("p99", 0.99))
    ]


async def _commit_s(pool: Any, number: int) -> float:
    started = time.perf_counter()
    await pool.execute(_INSERT, number)
    return time.perf_counter() - started


async def _read(socket: ClientConnection, sent: dict[int, float], taken: list[float]) -> None:
    while len(taken) < EVENTS:
        event = orjson.loads(await socket.recv())
        if event["type"] == "log":
            taken.append(time.perf_counter() - sent[int(event["message"])])


async def _lease(api: httpx.AsyncClient) -> dict[str, Any]:
    """Make a job that only we can run, and claim it."""
    reply = await api.post("/v1/workers", json={"name": "benchmark", "capabilities": ["benchmark"]})
    worker_id = reply.raise_for_status().json()["id"]
    job = {"graph": GRAPH, "required_capabilities": ["benchmark"]}
    (await api.post("/v1/jobs", json=job)).raise_for_status()
    claim = await api.post(f"/v1/workers/{worker_id}/claim", json={"wait_s": 30})
    lease: dict[str, Any] = claim.raise_for_status().json()["leases"][0]
    return lease
