"""Benchmark of the graph runner with chains of no-op nodes, including their events."""

from __future__ import annotations

import itertools
import statistics
import time
from typing import Any

import httpx

from processing_context._transport.api import Api
from processing_context._transport.network import Network
from processing_context.nodes.registry import NodeRegistry
from processing_context.wire.workers import Lease, LeaseList
from processing_context.worker.heartbeats import Heartbeats
from processing_context.worker.lease import LeaseRun
from processing_context.worker.metrics import Timed
from processing_context.worker.outage import Outage
from processing_context.worker.relay import Relay
from scripts.benchmarks.noop import NoOp, chain
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row

LONG, SHORT = 300, 10
ROUNDS = 15
Events = list[dict[str, Any]]


async def rows(stack: Stack, _: int) -> list[Row]:
    """Measure the time and the CPU time per node of a long chain."""
    async with httpx.AsyncClient(base_url=stack.url, headers=stack.headers, timeout=60) as api:
        bench = _Bench(stack, api, await _register(api))
        await bench.run(LONG)
        long: list[tuple[float, float]] = []
        short: list[tuple[float, float]] = []
        bare: list[float] = []
        for _ in range(ROUNDS):
            job_id, wall, cpu = await bench.run(LONG)
            long.append((wall, cpu))
            bare.append(await bench.bare(LONG, await _batches(api, job_id)))
            short.append((await bench.run(SHORT))[1:])
        await bench.aclose()
    return [_rate(long, short), _cpu([cpu for _, cpu in long], bare)]


def _rate(long: list[tuple[float, float]], short: list[tuple[float, float]]) -> Row:
    return _row(
        f"runner: nodes/s of a chain of {LONG} nodes / of {SHORT} nodes",
        [LONG / wall for wall, _ in long],
        [SHORT / wall for wall, _ in short],
        "{:.0f}/s",
    )


def _cpu(runner: list[float], bare: list[float]) -> Row:
    return _row(
        f"runner: CPU per node of a chain of {LONG} nodes / a loop that awaits nodes, posts events",
        [cpu / LONG * 1e6 for cpu in runner],
        [cpu / LONG * 1e6 for cpu in bare],
        "{:.0f} µs",
    )


def _row(name: str, measured: list[float], baseline: list[float], form: str) -> Row:
    """Return the row with the medians, and the median of the rounds' ratios."""
    ratio = statistics.median(a / b for a, b in zip(measured, baseline, strict=True))
    first, second = statistics.median(measured), statistics.median(baseline)
    return Row(name, form.format(first), form.format(second), f"{ratio:.2f}")


async def _register(api: httpx.AsyncClient) -> str:
    body = {"name": "benchmark", "capabilities": ["benchmark"], "slots": 1}
    worker_id: str = (await api.post("/v1/workers", json=body)).raise_for_status().json()["id"]
    return worker_id


async def _batches(api: httpx.AsyncClient, job_id: str) -> list[Events]:
    """Return the batches of events that a worker posted; events of a batch have the same time."""
    reply = await api.get(f"/v1/jobs/{job_id}/events")
    events: Events = [
        event
        for event in reply.raise_for_status().json()["events"]
        if event["type"] != "job_update" or "result" in event
    ]
    by_batch = itertools.groupby(events, key=lambda event: event["time"])
    added = {"job_id", "seq", "attempt", "time"}
    return [
        [{key: value for key, value in event.items() if key not in added} for event in batch]
        for _, batch in by_batch
    ]


class _Bench:
    """Worker in this process that runs chains and measures their time and CPU time."""

    def __init__(self, stack: Stack, api: httpx.AsyncClient, worker_id: str) -> None:
        self._stack = stack
        self._api = api
        self._worker_id = worker_id
        self._registry = NodeRegistry([NoOp])
        self._network = Network(timeout_s=60, retries=0)
        self._worker_api = Api(stack.url, stack.token, self._network, retries=0)
        self._relay = Relay(self._worker_api, Timed())
        self._relay.serve(worker_id)
        self._heartbeats = Heartbeats(
            self._worker_api, self._network.bulk, lambda _: None, outage=Outage()
        )

    async def run(self, length: int) -> tuple[str, float, float]:
        """Run a chain; return the job's id, and the time and the CPU time of the run."""
        lease = await self._lease(length)
        run = LeaseRun(
            lease,
            base_url=self._stack.url,
            registry=self._registry,
            capabilities=(),
            heartbeats=self._heartbeats,
            network=self._network,
            relay=self._relay,
        )
        wall, cpu = time.perf_counter(), time.process_time()
        await run.run()
        return lease.job.id, time.perf_counter() - wall, time.process_time() - cpu

    async def bare(self, length: int, batches: list[Events]) -> float:
        """Return the CPU time of a loop that awaits the same nodes and posts the same events."""
        lease = await self._lease(length)
        nodes = [NoOp() for _ in range(length)]
        headers = {"Authorization": f"Bearer {lease.token}"}
        numbers = itertools.count(1)
        async with httpx.AsyncClient(base_url=self._stack.url, headers=headers) as http:
            await http.post(f"/v1/jobs/{lease.job.id}/heartbeat")  # opens the connection
            began = time.process_time()
            for node in nodes:
                await node.process(None)  # type: ignore[arg-type]  # the node uses no context
            for batch in batches:
                body = {"events": [{"client_seq": next(numbers), **event} for event in batch]}
                reply = await http.post(f"/v1/jobs/{lease.job.id}/events", json=body)
                reply.raise_for_status()
            return time.process_time() - began

    async def aclose(self) -> None:
        """Close the connections."""
        await self._relay.aclose()
        await self._network.aclose()

    async def _lease(self, length: int) -> Lease:
        job = {"graph": chain(length), "required_capabilities": ["benchmark"]}
        (await self._api.post("/v1/jobs", json=job)).raise_for_status()
        path = f"/v1/workers/{self._worker_id}/claim"
        claim = await self._api.post(path, json={"wait_s": 30})
        return LeaseList.model_validate_json(claim.raise_for_status().content).leases[0]
