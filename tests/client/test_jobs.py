"""The client against the running service: jobs and their events, over a network that fails."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

import processing_context as pc
from processing_context import AssetRef, ImageRef, JobUpdate, Log, ProcessingContext
from processing_context._transport import retry
from tests.support.manual_worker import HandWorker
from tests.support.network import Network
from tests.support.services import WAIT_S, Service, User

GRAPH: dict[str, Any] = {
    "nodes": [{"id": "in", "type": "input.AnyInput", "data": {"name": "x"}}],
    "edges": [],
}
PNG = b"\x89PNG\r\n\x1a\n and so on"


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_S", 0.05)


@pytest.fixture
def network(service: Service) -> Iterator[Network]:
    with Network(service.url) as made:
        yield made


@pytest_asyncio.fixture
async def ctx(network: Network, user: User) -> AsyncIterator[ProcessingContext]:
    async with ProcessingContext(base_url=network.url, token=user.token) as made:
        yield made


@pytest_asyncio.fixture
async def worker(service: Service, user: User) -> AsyncIterator[HandWorker]:
    made = await HandWorker.of(service, user)
    yield made
    await made.aclose()


async def made_job(user: User) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_S):
        while not (jobs := await jobs_of(user)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return jobs[0]


async def jobs_of(user: User) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await user.http.get("/v1/jobs")).json()["jobs"]
    return found


def drained(ctx: ProcessingContext) -> list[Any]:
    messages = []
    while ctx.has_messages():
        messages.append(ctx.pop_message())
    return messages


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
    cancelled = await ctx.cancel_job((await made_job(user))["id"])
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
    await made_job(user)
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


async def test_events_survive_a_network_that_fails(
    ctx: ProcessingContext, network: Network, worker: HandWorker
) -> None:
    run = asyncio.create_task(ctx.run_worker(GRAPH))
    await worker.claim()
    for number in range(6):
        await worker.log(f"{number}a", f"{number}b")
        network.cut()
        network.is_down = number % 2 == 0
        await worker.log(f"{number}c")
        await asyncio.sleep(0.1)
        network.is_down = False
    await worker.complete()
    await asyncio.wait_for(run, WAIT_S)
    messages = drained(ctx)
    assert [message.seq for message in messages] == list(range(1, len(messages) + 1))
    logs = [message.message for message in messages if isinstance(message, Log)]
    assert logs == [f"{number}{letter}" for number in range(6) for letter in "abc"]


async def test_a_restart_of_the_service_goes_unnoticed(
    start_service: Callable[..., Service],
) -> None:
    first = start_service()
    with Network(first.url) as network:
        async with await first.new_user() as user:
            token = user.token
            async with ProcessingContext(base_url=network.url, token=token) as ctx:
                run = asyncio.create_task(ctx.run_worker(GRAPH))
                await made_job(user)
                first.stop()
                second = start_service(like=first)
                network.target = second.url
                network.cut()
                worker = await HandWorker.of(second, user)
                await worker.claim()
                await worker.complete(after="restart")
                assert await asyncio.wait_for(run, WAIT_S) == {"after": "restart"}
                messages = drained(ctx)
                await worker.aclose()
    assert [message.seq for message in messages] == list(range(1, len(messages) + 1))


async def test_events_begin_behind_a_seq_and_end_with_the_job(
    ctx: ProcessingContext, worker: HandWorker
) -> None:
    run = asyncio.create_task(ctx.run_worker(GRAPH))
    job_id = (await worker.claim())["id"]
    await worker.log("one", "two")
    await worker.complete()
    await run
    everything = [event async for event in ctx.job_events(job_id)]
    assert [event.type for event in everything][-3:] == ["log", "log", "job_update"]
    last = everything[-1].seq
    assert last == len(everything)
    assert [event.seq async for event in ctx.job_events(job_id, after=last - 2)] == [last - 1, last]
    nothing = [event async for event in ctx.job_events(job_id, after=last)]
    assert nothing == []


async def test_events_of_nothing_or_of_someone_else_are_not_found(
    ctx: ProcessingContext, network: Network, other: User, user: User
) -> None:
    made = await user.http.post("/v1/jobs", json={"graph": GRAPH})
    async with ProcessingContext(base_url=network.url, token=other.token) as theirs:
        for context, job_id in ((ctx, "0" * 32), (theirs, made.json()["id"])):
            with pytest.raises(pc.NotFoundError):
                await anext(aiter(context.job_events(job_id)))
    with pytest.raises(ValueError, match="job_id"):
        await anext(aiter(ctx.job_events("")))
    with pytest.raises(ValueError, match="after"):
        await anext(aiter(ctx.job_events("x", after=-1)))


async def test_a_token_that_is_revoked_ends_the_reading(
    service: Service, network: Network, user: User
) -> None:
    made = (await user.http.post("/v1/jobs", json={"graph": GRAPH})).json()
    async with service.client() as admin:
        body = {"name": "short", "scopes": ["user"], "user_id": user.id}
        token = (await admin.post("/v1/tokens", json=body)).json()
    async with ProcessingContext(base_url=network.url, token=token["token"]) as reader:
        events = aiter(reader.job_events(made["id"]))
        await asyncio.wait_for(anext(events), WAIT_S)
        assert (await user.http.delete(f"/v1/tokens/{token['id']}")).status_code == 204
        with pytest.raises(pc.AuthenticationError):
            await asyncio.wait_for(anext(events), WAIT_S)
    async with ProcessingContext(base_url=network.url, token="ctx_wrong", user_id="u") as nobody:
        with pytest.raises(pc.AuthenticationError):
            await anext(aiter(nobody.job_events(made["id"])))


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


async def test_inside_a_job_messages_go_to_its_events(
    ctx: ProcessingContext, network: Network, worker: HandWorker
) -> None:
    run = asyncio.create_task(ctx.run_worker(GRAPH))
    job = await worker.claim(begin=False)
    async with ProcessingContext(
        base_url=network.url, token=worker.token, job_id=job["id"], user_id=job["user_id"]
    ) as inside:
        assert inside.outbox is not None
        inside.post_message(JobUpdate(status="running"))
        for number in range(1000):
            inside.post_message(Log(level="info", message=str(number)))
            if number % 300 == 0:
                network.cut()
                await asyncio.sleep(0.05)
        inside.post_message(JobUpdate(status="completed", result={"ok": True}))
        await inside.flush()
        late: list[pc.ContextError] = []
        inside.outbox.on_lost = late.append
        inside.post_message(Log(level="info", message="too late"))
        with pytest.raises(pc.ContextError):
            await inside.flush()
        assert len(late) == 1
    assert await run == {"ok": True}
    logs = [message.message for message in drained(ctx) if isinstance(message, Log)]
    assert logs == [str(number) for number in range(1000)]


async def test_messages_of_a_child_job_stay_out_of_its_parents_events(
    ctx: ProcessingContext, network: Network, worker: HandWorker, user: User, service: Service
) -> None:
    outer = asyncio.create_task(ctx.run_worker(GRAPH))
    parent = await worker.claim()
    parent_token = worker.token
    async with ProcessingContext(
        base_url=network.url, token=parent_token, job_id=parent["id"], user_id=parent["user_id"]
    ) as inside:
        inner = asyncio.create_task(inside.run_worker(GRAPH))
        helper = await HandWorker.of(service, user)
        child = await helper.claim()
        assert child["parent_job_id"] == parent["id"]
        await helper.log("of the child")
        await helper.complete(n=1)
        assert await inner == {"n": 1}
        assert "of the child" in [m.message for m in drained(inside) if isinstance(m, Log)]
        await helper.aclose()
    await worker.complete()
    await outer
    assert "of the child" not in [m.message for m in drained(ctx) if isinstance(m, Log)]


async def test_a_given_client_serves_only_the_api(service: Service, user: User) -> None:
    async with httpx.AsyncClient() as client:
        async with ProcessingContext(
            base_url=service.url, token=user.token, http_client=client
        ) as ctx:
            asset = await ctx.create_asset("n", "a/b", bytes(2_000_000))
            assert asset.size == 2_000_000
        assert not client.is_closed
