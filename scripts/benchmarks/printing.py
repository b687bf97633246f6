"""Benchmarks of nodes that print: rate of their lines, and delay of the progress of other nodes."""

from __future__ import annotations

import asyncio
import statistics
import time
from datetime import datetime
from typing import Any

import orjson
from websockets.asyncio.client import connect

from scripts.benchmarks.noop import Prints, Ticks
from scripts.benchmarks.requests import Connection
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row, quantile
from tests.support.processes import running_worker

LINES = 10_000
GOAL_PER_S = 2_000
GOAL_MS = 100
QUANTILES = (("p50", 0.5), ("p99", 0.99))
NODES = ("--nodes", "scripts.benchmarks.noop", "--log-level", "warning")
GRAPH: dict[str, Any] = {
    "nodes": [
        {"id": "prints", "type": Prints.get_node_type(), "data": {"lines": LINES}},
        {"id": "ticks", "type": Ticks.get_node_type()},
    ],
    "edges": [],
}


async def rows(stack: Stack, rounds: int) -> list[Row]:
    """Measure jobs of two nodes, of which one prints and the other reports progress."""
    rates: list[float] = []
    delays: list[float] = []
    with running_worker(stack.url, stack.token, *NODES):
        async with (
            Connection(stack.url, stack.token) as api,
            connect(
                stack.url.replace("http", "ws", 1) + "/v1/ws", additional_headers=stack.headers
            ) as socket,
        ):
            for number in range(rounds + 1):
                took_s, ticks = await _run(api, socket)
                if number:  # the first one starts the worker
                    rates.append(LINES / took_s)
                    delays += ticks
    rate = statistics.median(rates)
    return [
        Row(
            f"log events/s of a node that prints {LINES} lines / goal",
            f"{rate:.0f}/s",
            f"{GOAL_PER_S}/s",
            f"{rate / GOAL_PER_S:.2f}",
        ),
        *(_delay(name, quantile(delays, share) * 1000) for name, share in QUANTILES),
    ]


def _delay(name: str, delay_ms: float) -> Row:
    return Row(
        f"progress of another node meanwhile, from its post to a socket, {name} / goal",
        f"{delay_ms:.1f} ms",
        f"{GOAL_MS} ms",
        f"{GOAL_MS / delay_ms:.2f}",
    )


async def _run(api: Connection, socket: Any) -> tuple[float, list[float]]:
    """Run the job; return the seconds that the printing node took, and the delays of progress."""
    job = await api.post("/v1/jobs", orjson.dumps({"graph": GRAPH}))
    await socket.send(orjson.dumps({"op": "subscribe", "job_id": job["id"]}).decode())
    began = ended = 0.0
    delays: list[float] = []
    async with asyncio.timeout(120):
        while True:
            event = orjson.loads(await socket.recv())
            if event["type"] == "node_progress" and not ended:
                sent = [float(at) for at in event["chunk"].split()]
                delays += [time.perf_counter() - at for at in sent]
            elif event["type"] == "node_update" and event["node_id"] == "prints":
                at = datetime.fromisoformat(event["time"]).timestamp()
                began, ended = (at, 0.0) if event["status"] == "running" else (began, at)
            elif event["type"] == "job_update" and event["status"] == "completed":
                return ended - began, delays
