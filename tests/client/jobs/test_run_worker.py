"""Tests of the client with a running service: `run_worker` and `run_workflow`."""

from __future__ import annotations

import asyncio
import queue
from typing import Any

import pytest

import processing_context as pc
from processing_context import AssetRef, ImageRef, JobUpdate, Log, ProcessingContext
from tests.support.client_jobs import GRAPH, drained, first_job, jobs_of
from tests.support.manual_worker import HandWorker
from tests.support.network import Network
from tests.support.services import User

PNG = b"\x89PNG\r\n\x1a\n and so on"


@pytest.mark.parametrize(
    "runnable",
    [
        GRAPH,
        pc.Graph.model_validate(GRAPH),
        pc.RunJobRequest.model_validate({"graph": GRAPH, "params": {"y": 1, "x": 0}}),
        {"graph": GRAPH, "params": {"y": 1, "x": 0}, "priority": 5},
    ],
)
async def test_a_job_is_run_and_its_outputs_returned(
    ctx: ProcessingContext, worker: HandWorker, runnable: Any
) -> None:
    run = asyncio.create_task(ctx.run_worker(runnable, {"x": "\x00 ünïcode"}))
    job = await worker.claim()
    assert job["params"]["x"] == "\x00 ünïcode"
    assert job["params"].get("y", 1) == 1
    assert job["graph"]["nodes"][0]["type"] == "input.AnyInput"
    ref = {"type": "image", "uri": "", "asset_id": "a" * 32}
    await worker.log("one", "two")
    await worker.complete(
        n=3, image=ref, deep=[{"k": ref}], text={"type": "text", "text": "no ref"}
    )
    assert await run == {
        "n": 3,
        "image": ImageRef(asset_id="a" * 32),
        "deep": [{"k": ImageRef(asset_id="a" * 32)}],
        "text": {"type": "text", "text": "no ref"},
    }
    messages = drained(ctx)
    assert [message.seq for message in messages] == list(range(1, len(messages) + 1))
    assert [m.message for m in messages if isinstance(m, Log)] == ["one", "two"]
    assert isinstance(messages[-1], JobUpdate)
    assert messages[-1].status == "completed"


async def test_bytes_in_params_are_stored_first_and_the_callers_objects_stay(
    ctx: ProcessingContext, worker: HandWorker
) -> None:
    temp_url = await ctx.create_temp_asset(PNG, "png")
    params = {
        "x": ImageRef(data=PNG),
        "list": [{"deep": AssetRef(data=b"deep")}],
        "asset": ImageRef(asset_id="b" * 32),
        "temp": ImageRef(uri=temp_url),
        "inline": {"type": "image", "uri": "data:image/png;base64,iVBORw0KGgo="},
        "json": [{"type": "image", "data": "iVBORw0KGgo="}],
    }
    graph = {"nodes": [{"id": "n", "type": "t", "data": {"image": ImageRef(data=b"in a node")}}]}
    run = asyncio.create_task(ctx.run_worker(graph, params))
    sent = (await worker.claim())["params"]
    await worker.complete()
    assert await run == {}
    assert params["x"] == ImageRef(data=PNG)
    assert "data" not in sent["x"] or sent["x"]["data"] is None
    assert sent["x"]["uri"].startswith("/v1/storage/temp/")
    assert sent["x"]["uri"].endswith(".png")
    assert await ctx.asset_to_bytes(sent["x"]) == PNG
    assert await ctx.asset_to_bytes(sent["list"][0]["deep"]) == b"deep"
    assert sent["asset"]["asset_id"] == "b" * 32
    assert sent["temp"]["uri"] == "/v1/storage/temp/" + temp_url.split("?")[0].rpartition("/")[2]
    assert await ctx.asset_to_bytes(sent["inline"]) == b"\x89PNG\r\n\x1a\n"
    assert sent["json"][0].get("data") is None
    assert await ctx.asset_to_bytes(sent["json"][0]) == b"\x89PNG\r\n\x1a\n"
    in_node = worker.job["graph"]["nodes"][0]["data"]["image"]
    assert await ctx.asset_to_bytes(in_node) == b"in a node"


@pytest.mark.parametrize("value", [float("nan"), object(), {1: 2}, "\ud800"])
async def test_what_json_has_no_form_for_is_refused(
    ctx: ProcessingContext, user: User, value: Any
) -> None:
    with pytest.raises(ValueError, match="value"):
        await ctx.run_worker(GRAPH, {"x": value})
    assert await jobs_of(user) == []


async def test_wrong_graphs_are_refused(ctx: ProcessingContext) -> None:
    wrong: Any
    for wrong in (None, [], "graph", {}):
        with pytest.raises(ValueError, match="graph"):
            await ctx.run_worker(wrong)
    twice = {"nodes": [GRAPH["nodes"][0]] * 2}
    with pytest.raises(pc.ValidationError) as caught:
        await ctx.run_worker(twice)
    assert caught.value.code == "invalid_graph"
    assert caught.value.errors[0]["type"] == "duplicate_node"


async def test_a_bounded_queue_delays_the_run_and_loses_nothing(
    network: Network, user: User, worker: HandWorker
) -> None:
    given: queue.Queue[Any] = queue.Queue(maxsize=2)
    async with ProcessingContext(
        base_url=network.url, token=user.token, message_queue=given
    ) as ctx:
        run = asyncio.create_task(ctx.run_worker(GRAPH))
        await worker.claim()
        await worker.log(*range(20))
        await worker.complete()
        await asyncio.sleep(0.2)
        assert not run.done()
        seqs = [(await ctx.pop_message_async()).seq for _ in range(23)]
        assert seqs == list(range(1, 24))
        assert await run == {}


async def test_a_failed_job_raises_with_its_message_and_itself(
    ctx: ProcessingContext, worker: HandWorker
) -> None:
    run = asyncio.create_task(ctx.run_worker(GRAPH))
    job = await worker.claim()
    await worker.fail("ValueError: no such colour", "in")
    with pytest.raises(pc.JobFailedError, match="no such colour") as caught:
        await run
    assert caught.value.job.id == job["id"]
    assert caught.value.job.error is not None
    assert caught.value.job.error.node_id == "in"


async def test_a_job_cancelled_by_someone_raises(ctx: ProcessingContext, user: User) -> None:
    run = asyncio.create_task(ctx.run_worker(GRAPH))
    cancelled = await ctx.cancel_job((await first_job(user))["id"])
    assert cancelled.status == "cancelled"
    with pytest.raises(pc.JobCancelledError) as caught:
        await run
    assert caught.value.job.status == "cancelled"


async def test_cancelling_the_caller_cancels_the_job(
    ctx: ProcessingContext, user: User, worker: HandWorker
) -> None:
    run = asyncio.create_task(ctx.run_worker(GRAPH))
    await worker.claim()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert [job["cancel_requested"] for job in await jobs_of(user)] == [True]


async def test_a_caller_cancelled_before_it_heard_of_its_job_leaves_none_running(
    ctx: ProcessingContext, network: Network, user: User
) -> None:
    network.swallow = b"POST /v1/jobs "
    run = asyncio.create_task(ctx.run_worker(GRAPH))
    await first_job(user)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert [job["status"] for job in await jobs_of(user)] == ["cancelled"]


async def test_a_lost_reply_makes_no_second_job(
    ctx: ProcessingContext, network: Network, user: User, worker: HandWorker
) -> None:
    network.swallow = b"POST /v1/jobs "
    run = asyncio.create_task(ctx.run_worker(GRAPH))
    await worker.claim()
    await worker.complete(ok=1)
    assert await run == {"ok": 1}
    assert network.swallow is None
    assert len(await jobs_of(user)) == 1


async def test_workflows_are_saved_and_run(ctx: ProcessingContext, worker: HandWorker) -> None:
    saved = await ctx.create_workflow({"name": "w", "graph": GRAPH, "tags": ["t"]})
    assert (await ctx.get_workflow(saved.id)).graph.nodes[0].id == "in"
    assert [w.id for w in (await ctx.list_workflows(tag="t")).workflows] == [saved.id]
    run = asyncio.create_task(ctx.run_workflow(saved.id, {"x": 1}))
    job = await worker.claim()
    assert (job["workflow_id"], job["params"]) == (saved.id, {"x": 1})
    await worker.complete(y=2)
    assert await run == {"y": 2}
    page = await ctx.list_jobs(workflow_id=saved.id)
    assert [(found.id, found.status) for found in page.jobs] == [(job["id"], "completed")]
    with pytest.raises(pc.NotFoundError):
        await ctx.run_workflow("0" * 32)
