"""Benchmarks of events: latency from a worker's POST to a WebSocket, and rate of ingest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import asyncpg
import orjson
from websockets.asyncio.client import connect

from app.database.engine import connect_args
from scripts.benchmarks.lease import Lease, lines
from scripts.benchmarks.requests import Connection
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row, in_turn, quantile
from tests.support.processes import running_service
from tests.support.services import free_port

EVENTS = 1000
EVENTS_A_SECOND = 200
GOALS_MS = (("p50", 0.5, 6), ("p99", 0.99, 25))

WORKERS = 4
BATCH = 50
BATCHES_A_ROUND = 20
_TABLE = """
create table benchmark_events (like job_events including indexes) partition by range (time);
create table benchmark_events_default partition of benchmark_events default"""
_COLUMNS = ("job_id", "seq", "time", "is_end", "body")


async def rows(stack: Stack, rounds: int) -> list[Row]:
    """Measure the latency of events, then the highest rate of ingest."""
    found: list[Row] = []
    port = free_port()
    with running_service(stack.settings, port=port, log_level="WARNING"):
        for name, url in (("same", stack.url), ("another", f"http://127.0.0.1:{port}")):
            taken = await _latencies(stack, url)
            found += [
                Row(
                    f"event POST to socket at {EVENTS_A_SECOND}/s, {name} replica, {quantile_name}",
                    f"{quantile(taken, share) * 1000:.1f} ms",
                    f"{goal} ms",
                    f"{goal / quantile(taken, share) / 1000:.2f}",
                )
                for quantile_name, share, goal in GOALS_MS
            ]
    return [*found, await _ingest(stack, rounds)]


async def _latencies(stack: Stack, reader_url: str) -> list[float]:
    """Return the times from before the POST of an event to its receipt, at a steady rate."""
    sent: dict[str, float] = {}
    taken: list[float] = []
    ws_url = reader_url.replace("http", "ws", 1) + "/v1/ws"
    async with (
        Lease.of(stack) as lease,
        Connection(stack.url, lease.token) as worker,
        connect(ws_url, additional_headers=stack.headers) as socket,
    ):
        await socket.send(orjson.dumps({"op": "subscribe", "job_id": lease.job_id}).decode())

        async def read() -> None:
            while len(taken) < EVENTS:
                event = orjson.loads(await socket.recv())
                if event["type"] == "log":
                    taken.append(time.perf_counter() - sent[event["message"]])

        reading = asyncio.create_task(read())
        begun = time.perf_counter()
        for number in range(1, EVENTS + 1):
            await asyncio.sleep(max(0, begun + number / EVENTS_A_SECOND - time.perf_counter()))
            sent[str(number)] = time.perf_counter()
            await worker.post(lease.path, lease.body(lines(str(number))))
        await reading
    return taken


async def _ingest(stack: Stack, rounds: int) -> Row:
    """Compare storing batches of events over HTTP with a COPY of the same rows."""
    pool = await asyncpg.create_pool(
        **connect_args(stack.database_url), min_size=WORKERS, max_size=WORKERS
    )
    async with pool, AsyncExitStack() as leases:
        held = [await leases.enter_async_context(Lease.of(stack)) for _ in range(WORKERS)]
        await pool.execute(_TABLE)
        opened = [
            await leases.enter_async_context(Connection(stack.url, lease.token)) for lease in held
        ]
        connections = dict(zip((lease.job_id for lease in held), opened, strict=True))
        messages = [f"line {number} of a batch" for number in range(BATCH)]
        events = lines(*messages)
        seqs = iter(range(1, 10_000_000, BATCH))

        async def post(lease: Lease) -> None:
            connection = connections[lease.job_id]
            for _ in range(BATCHES_A_ROUND):
                await connection.post(lease.path, lease.body(events))

        async def copy(lease: Lease) -> None:
            for _ in range(BATCHES_A_ROUND):
                first, now = next(seqs), datetime.now(UTC)
                body = (
                    f'{{"type":"log","job_id":"{lease.job_id}","seq":{first},"attempt":1,'
                    '"time":"2026-01-01T00:00:00.000000Z","level":"info","message":"%s"}'
                )
                records = [
                    (lease.job_id, first + at, now, False, body.replace("%s", message))
                    for at, message in enumerate(messages)
                ]
                await pool.copy_records_to_table(
                    "benchmark_events", records=records, columns=_COLUMNS
                )

        async def rate(store: Callable[[Lease], Awaitable[None]]) -> float:
            begun = time.perf_counter()
            await asyncio.gather(*(store(lease) for lease in held))
            return WORKERS * BATCHES_A_ROUND * BATCH / (time.perf_counter() - begun)

        measured, baseline, ratio = await in_turn(
            lambda: rate(post), lambda: rate(copy), rounds=rounds
        )
    return Row(
        f"events stored, batches of {BATCH}, {WORKERS} workers / COPY of the same rows by asyncpg",
        f"{measured:.0f}/s",
        f"{baseline:.0f}/s",
        f"{ratio:.2f}",
    )
