"""Tests of the operation of a worker: metrics, log, signals, protection from nodes."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from processing_context.nodes.registry import NodeRegistry
from processing_context.worker.worker import Worker, WorkerOptions
from tests.support.graphs import graph
from tests.support.jobs import events_of, owner
from tests.support.services import Service, User, eventually, free_port
from tests.support.worker_processes import ended_job, worker_process

WITH_NODES = ("--nodes", "tests.support.operated_nodes")


def one(node: str, **data: Any) -> dict[str, Any]:
    return graph(
        {"n": (node, data), "out": ("output.AnyOutput", {"name": "it"})}, "n.output > out.value"
    ).model_dump()


async def started(user: User, of: dict[str, Any], **headers: str) -> str:
    reply = await user.http.post("/v1/jobs", json={"graph": of}, headers=headers)
    assert reply.status_code == 202, reply.text
    return str(reply.json()["id"])


async def test_prometheus_reads_what_a_worker_did(service: Service) -> None:
    port = free_port()
    async with (
        owner(service) as user,
        worker_process(service, user, "--slots", "3", "--metrics-port", str(port)),
        httpx.AsyncClient() as http,
    ):
        await ended_job(user, await started(user, one("control.Sleep", seconds=0)))
        await ended_job(user, await started(user, one("control.Fail")))
        prefix = "processing_context_worker"

        async def is_told() -> bool:
            text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
            values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
            return (
                values.get(f'{prefix}_jobs_ended_total{{status="completed"}}') == "1.0"
                and values.get(f'{prefix}_jobs_ended_total{{status="failed"}}') == "1.0"
                and values[f"{prefix}_slots"] == "3.0"
                and values[f"{prefix}_slots_busy"] == "0.0"
                and float(values[f"{prefix}_claims_total"]) >= 1
                and float(values[f"{prefix}_claims_seconds_total"]) > 0
                and float(values[f"{prefix}_event_posts_total"]) >= 2
            )

        await eventually(is_told)


async def test_a_node_that_holds_up_the_loop_is_named(service: Service, tmp_path: Path) -> None:
    door = tmp_path / "door"
    async with owner(service) as user, worker_process(service, user, *WITH_NODES) as worker:
        job_id = await started(user, one("operated.Stalls", until=str(door)))
        await worker.says("the event loop has been blocked")
        assert "operated_nodes.py" in worker.log()
        door.touch()
        await worker.says("the event loop runs again")
        assert "HTTP Request" not in worker.log()  # httpx2 logs a line for each request
        assert (await ended_job(user, job_id))["status"] == "completed"


async def test_a_node_that_forks_makes_no_second_worker(service: Service) -> None:
    async with owner(service) as user, worker_process(service, user, *WITH_NODES) as worker:
        job_id = await started(user, one("operated.Forks"))
        job = await ended_job(user, job_id)
        assert job["status"] == "completed"
        copy = job["result"]["it"]
        assert copy != 0

        async def has_ended() -> bool:
            return _state(copy) in (None, "Z")

        await eventually(has_ended)
        again = await ended_job(user, await started(user, one("control.Sleep", seconds=0)))
        assert again["status"] == "completed"
        assert _state(worker.pid) not in (None, "Z")


def _state(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return None


async def test_the_trace_of_a_job_goes_on_in_the_jobs_that_it_starts(service: Service) -> None:
    trace, caller = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    async with (
        owner(service) as user,
        worker_process(service, user, "--slots", "2", *WITH_NODES),
    ):
        outer = one("operated.Starts", graph=one("operated.Tells"))
        job_id = await started(user, outer, traceparent=f"00-{trace}-{caller}-01")
        job = await ended_job(user, job_id)
        assert job["status"] == "completed", job["error"]
        traces = {event["traceparent"] for event in await events_of(user, job["result"]["it"])}
        [of_child] = traces
        version, trace_id, span, flags = of_child.split("-")
        assert (version, trace_id, flags) == ("00", trace, "01")
        assert span != caller


WARM, MORE = 10, 40
OURS = ("processing_context", "_asyncio", "threading", "httpx2", "httpcore2")


@pytest.mark.timeout(600)
async def test_a_worker_keeps_nothing_of_the_jobs_that_it_ran(service: Service) -> None:
    """Check that no type of object accumulates with each job."""
    async with owner(service) as user:
        options = WorkerOptions(url=service.url, token=user.token, slots=4)
        worker = Worker(options, NodeRegistry.installed())
        working = asyncio.create_task(worker.run())
        try:
            await _run(user, WARM)
            before = await _settled(worker)
            await _run(user, MORE)
            after = await _settled(worker)
        finally:
            worker.drain()
            await working
        grown = {kind: count - before[kind] for kind, count in after.items()}
        assert {kind: count for kind, count in grown.items() if count >= MORE} == {}


async def _run(user: User, jobs: int) -> None:
    ids = [await started(user, one("control.Sleep", seconds=0)) for _ in range(jobs)]
    for job_id in ids:
        assert (await ended_job(user, job_id))["status"] == "completed"


async def _settled(worker: Worker) -> Counter[str]:
    async def is_idle() -> bool:
        return not worker._runs

    await eventually(is_idle)
    gc.collect()
    names = (f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects())
    return Counter(name for name in names if name.startswith(OURS))
