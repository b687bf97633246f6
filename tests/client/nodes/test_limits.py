"""Tests of the time and memory limits of nodes."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from processing_context.wire.graph import Graph
from tests.client.nodes.test_process_executor import gone, started
from tests.support import samples
from tests.support.graphs import Run, failure, graph
from tests.support.services import WAIT_S

MIB = 1024 * 1024


def limited(node_type: str, timeout_s: Any) -> Graph:
    node = {"id": "n", "type": node_type, "timeout_s": timeout_s}
    return Graph.model_validate({"nodes": [node], "edges": []})


async def test_a_node_that_is_not_done_within_its_time_fails_the_job() -> None:
    run = Run()
    error = await failure(run, graph({"n": ("sample.Patient", {})}))
    assert (error.code, error.node_id) == ("timeout", "n")
    said = "not finished within its time limit of 0.2 s"
    assert error.message == f"sample.Patient (n): {said}"
    [failed] = [m for m in run.messages("node_update") if m["status"] == "failed"]
    assert failed["error"] == said


async def test_a_node_of_a_graph_may_have_a_limit_of_its_own() -> None:
    error = await failure(Run(), limited("sample.Patient", 0.05))
    assert error.message.endswith("not finished within its time limit of 0.05 s")


@pytest.mark.parametrize("wrong", [0, -1, "soon", True, float("inf")])
async def test_a_limit_is_a_number_of_seconds(wrong: Any) -> None:
    error = await failure(Run(), limited("sample.Patient", wrong))
    assert error.node_id == "n"
    assert "timeout_s must be a number over 0" in error.message


async def test_a_process_that_is_not_done_within_its_time_is_killed() -> None:
    run = Run()
    running = asyncio.create_task(failure(run, limited("sample.ProcessForever", 5)))
    pids = await started(run)
    assert (await running).code == "timeout"
    assert await gone(*pids)


async def test_a_node_that_does_not_stop_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    samples.Deaf.was_seen.clear()
    try:
        error = await failure(Run(node_stop_s=0.05), limited("sample.Deaf", 0.05))
        assert error.code == "timeout"
        assert "sample.Deaf (n) does not stop and is abandoned" in caplog.text
    finally:
        samples.Deaf.was_seen.set()  # or the node would block the end of the test run
    left = {task for task in asyncio.all_tasks() if task.get_name() == "sample.Deaf (n)"}
    await asyncio.wait(left, timeout=WAIT_S)
    assert all(task.done() for task in left)


async def test_a_timeout_that_the_node_met_itself_is_its_own_error() -> None:
    error = await failure(Run(), graph({"n": ("sample.Raises", {})}))
    assert error.code == "node_failed"
    assert "no answer from elsewhere" in error.message


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what is allocated")
async def test_a_process_may_allocate_so_much() -> None:
    run = Run(node_memory_bytes=512 * MIB)
    error = await failure(run, graph({"n": ("sample.Hoards", {})}))
    assert (error.code, error.node_id) == ("node_failed", "n")
    assert "out of memory: a node may allocate 512 MiB on this worker" in error.message
