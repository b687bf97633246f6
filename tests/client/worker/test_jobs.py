"""Tests of jobs on a real worker whose nodes misbehave."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import skimage
from PIL import Image

from app.queue.domain import tasks
from processing_context.context import ProcessingContext
from processing_context.errors import JobCancelledError, JobFailedError
from processing_context.wire.refs import ImageRef
from tests.support.graphs import graph
from tests.support.jobs import events_of, get, owner, start
from tests.support.services import WAIT_S, Service, User, eventually, running, with_domain
from tests.support.worker_processes import (
    WorkerProcess,
    ended_job,
    node_runs,
    until,
    worker_process,
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def short(new_settings: Any) -> AsyncIterator[Service]:
    """Service with frequent heartbeats and no reaper, so that workers must end their jobs."""
    queue = with_domain("queue", tasks=partial(tasks, reaper_interval_s=3600))
    with running(new_settings(lease_ttl_s=60, heartbeat_interval_s=0.5), queue) as service:
        yield service


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def somebody(short: Service) -> AsyncIterator[User]:
    async with owner(short) as user:
        yield user


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def worker(short: Service, somebody: User) -> AsyncIterator[WorkerProcess]:
    """Worker for tests that do not stop or block it."""
    async with worker_process(short, somebody, "--slots", "4") as running:
        yield running


@pytest_asyncio.fixture
async def context(short: Service, somebody: User) -> AsyncIterator[ProcessingContext]:
    async with ProcessingContext(base_url=short.url, token=somebody.token) as made:
        yield made


async def lease_is_renewed(service: Service, job_id: str) -> None:
    """Wait until the lease of a job has been extended."""
    pool = service.db.pool
    query = "select expires_at from job_leases where job_id = $1 and ended_at is null"
    before = await service.run(pool.fetchval(query, job_id))

    async def holds() -> bool:
        return bool(await service.run(pool.fetchval(query, job_id)) > before)

    await eventually(holds)


def one(node: str, data: dict[str, Any] | None = None, output: str = "AnyOutput") -> Any:
    return graph(
        {"n": (node, data or {}), "out": (f"output.{output}", {"name": "result"})},
        "n.output > out.value",
    )


def photo(name: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(getattr(skimage.data, name)()).save(buffer, "jpeg", quality=95)
    return buffer.getvalue()


async def test_photograph_goes_through_a_workflow_and_comes_back_as_an_asset(
    context: ProcessingContext,
) -> None:
    uploaded = await context.create_asset("coffee.jpg", "image/jpeg", photo("coffee"))
    wired = graph(
        {
            "in": ("input.ImageInput", {"name": "photo"}),
            "small": ("image.Resize", {"width": 150, "height": 100}),
            "soft": ("image.Blur", {"radius": 1.5}),
            "marked": ("image.DrawText", {"text": "coffee", "size": 20}),
            "out": ("output.ImageOutput", {"name": "thumbnail"}),
        },
        "in.output > small.image",
        "small.output > soft.image",
        "soft.output > marked.image",
        "marked.output > out.value",
    )
    result = await context.run_worker(wired, {"photo": ImageRef(asset_id=uploaded.id)})
    ref = result["thumbnail"]
    assert isinstance(ref, ImageRef)
    assert (await context.image_to_pil(ref)).size == (150, 100)
    asset = await context.find_asset(str(ref.asset_id))
    assert (asset.name, asset.content_type, asset.node_id) == ("thumbnail", "image/png", "out")
    assert asset.job_id is not None
    assert len([a async for a in context.iter_assets(job_id=asset.job_id)]) == 1
    shown = {
        event.node_id: event.result["output"]
        async for event in context.job_events(asset.job_id)
        if event.type == "node_update" and event.result
    }
    assert shown["out"]["asset_id"] == asset.id
    for between in ("small", "soft", "marked"):
        assert shown[between]["uri"].startswith("/v1/storage/temp/")
        assert (await context.image_to_pil(shown[between])).size == (150, 100)


async def test_node_that_raises_fails_the_job_with_its_id_and_traceback(
    context: ProcessingContext,
) -> None:
    with pytest.raises(JobFailedError, match=r"RuntimeError: no luck") as caught:
        await context.run_worker(one("control.Fail", {"message": "no luck"}))
    error = caught.value.job.error
    assert error is not None
    assert (error.code, error.node_id) == ("node_failed", "n")
    trace = str(error.traceback)
    assert "raise RuntimeError(self.message)" in trace
    assert "nodes/runner" not in trace
    assert trace in str(caught.value.__cause__)
    messages = []
    while context.has_messages():
        messages.append(context.pop_message())
    failed = [m for m in messages if m.type == "node_update" and m.status == "failed"]
    assert "raise RuntimeError(self.message)" in str(failed[0].logs)


async def test_unsendable_result_fails_the_job_with_its_place(context: ProcessingContext) -> None:
    with pytest.raises(
        JobFailedError, match=r"value\['lock'\] is a asyncio\.locks\.Lock"
    ) as caught:
        await context.run_worker(one("faulty.Unsendable"))
    assert caught.value.job.error is not None
    assert caught.value.job.error.code == "invalid_result"


async def test_null_result_arrives_as_null(context: ProcessingContext) -> None:
    assert await context.run_worker(one("control.Sleep", {"seconds": 0})) == {"result": None}


async def test_large_text_becomes_an_asset_and_is_not_cut(context: ProcessingContext) -> None:
    result = await context.run_worker(one("faulty.Large", {"characters": 500_000}))
    ref = result["result"]
    assert ref.type == "text"
    assert (await context.asset_to_bytes(ref)).decode() == "é" * 500_000


async def test_streamed_images_are_temporary_files_and_the_last_is_the_result(
    context: ProcessingContext,
) -> None:
    result = await context.run_worker(one("faulty.Frames"))
    shown = []
    while context.has_messages():
        message = context.pop_message()
        if message.type == "output_update" and message.node_id == "n":
            assert message.value["uri"].startswith("/v1/storage/temp/")
            shown.append((await context.image_to_pil(message.value)).getpixel((0, 0)))
    assert shown == [(0, 0, 0), (128, 128, 128), (255, 255, 255)]
    assert (await context.image_to_pil(result["result"])).getpixel((0, 0)) == (255, 255, 255)


async def test_many_middling_results_all_arrive(context: ProcessingContext) -> None:
    nodes: dict[str, Any] = {}
    for number in range(8):
        nodes[f"n{number}"] = ("faulty.Large", {"characters": 10_000})
        nodes[f"o{number}"] = ("output.AnyOutput", {"name": f"r{number}"})
    edges = [f"n{number}.output > o{number}.value" for number in range(8)]
    result = await context.run_worker(graph(nodes, *edges))
    texts = [
        value if isinstance(value, str) else (await context.asset_to_bytes(value)).decode()
        for value in result.values()
    ]
    assert texts == ["é" * 10_000] * 8


async def test_job_that_never_ends_is_ended_by_its_timeout(somebody: User) -> None:
    job = await start(somebody, graph=one("faulty.NeverEnds").model_dump(), timeout_s=0.5)
    end = await ended_job(somebody, job["id"])
    assert (end["status"], end["error"]["code"]) == ("failed", "timeout")
    assert end["error"]["message"] == "not finished within 0.5 s"
    statuses = [
        e["status"] for e in await events_of(somebody, job["id"]) if e.get("node_id") == "n"
    ]
    assert statuses == ["running", "cancelled"]


async def test_cancel_stops_what_runs(somebody: User) -> None:
    job = await start(somebody, graph=one("faulty.NeverEnds").model_dump())
    await node_runs(somebody, job["id"], "n")
    await somebody.http.post(f"/v1/jobs/{job['id']}/cancel")
    end = await ended_job(somebody, job["id"])
    assert (end["status"], end["error"]["code"]) == ("cancelled", "cancelled")
    statuses = [
        e["status"] for e in await events_of(somebody, job["id"]) if e.get("node_id") == "n"
    ]
    assert statuses == ["running", "cancelled"]


async def test_cancel_kills_the_process_of_a_node(somebody: User) -> None:
    job = await start(somebody, graph=graph({"n": ("faulty.Busy", {})}).model_dump())
    await node_runs(somebody, job["id"], "n")
    pid = 0
    async with asyncio.timeout(WAIT_S):
        while not pid:
            events = await events_of(somebody, job["id"], wait=1)
            pid = int(next((e["progress"] for e in events if "progress" in e), 0))
    os.kill(pid, 0)
    await somebody.http.post(f"/v1/jobs/{job['id']}/cancel")
    await ended_job(somebody, job["id"])
    await until(lambda: not Path(f"/proc/{pid}").exists())


async def test_cancelling_the_caller_cancels_the_job(
    context: ProcessingContext, somebody: User
) -> None:
    call = asyncio.create_task(context.run_worker(one("faulty.NeverEnds")))
    message = await context.pop_message_async()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await ended_job(somebody, str(message.job_id)))["status"] == "cancelled"


async def test_node_code_does_not_see_the_workers_token(context: ProcessingContext) -> None:
    assert await context.run_worker(one("faulty.Secrets")) == {"result": []}


async def test_unknown_node_type_waits_and_says_why(somebody: User) -> None:
    job = await start(somebody, graph=one("faulty.NotInstalled").model_dump())
    await asyncio.sleep(0.5)
    waiting = await get(somebody, job["id"])
    assert waiting["status"] == "queued"
    assert "faulty.NotInstalled" in waiting["waiting_reason"]
    await somebody.http.post(f"/v1/jobs/{job['id']}/cancel")
    assert (await get(somebody, job["id"]))["status"] == "cancelled"


async def test_node_that_blocks_the_loop_past_the_lease_does_not_lose_it(
    short: Service, tmp_path: Path
) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    blocking = one("faulty.BlocksLoop", {"begun": str(begun), "go": str(go)}).model_dump()
    async with owner(short) as user, worker_process(short, user):
        job = await start(user, graph=blocking)
        await until(begun.exists)
        for _ in range(3):
            await lease_is_renewed(short, job["id"])
        go.touch()
        end = await ended_job(user, job["id"])
        assert (end["status"], end["attempt"], end["result"]) == (
            "completed",
            1,
            {"result": "done"},
        )


async def test_node_that_ignores_cancel_is_left_behind(short: Service) -> None:
    async with owner(short) as user, worker_process(short, user):
        stuck = await start(user, graph=one("faulty.IgnoresCancel").model_dump(), timeout_s=0.5)
        after = await start(user, graph=one("control.Sleep", {"seconds": 0}).model_dump())
        end = await ended_job(user, stuck["id"])
        assert end["error"]["code"] == "timeout"
        assert (await ended_job(user, after["id"]))["status"] == "completed"


async def test_run_command_uploads_shows_and_saves(
    short: Service, somebody: User, tmp_path: Path
) -> None:
    (tmp_path / "cat.jpg").write_bytes(photo("chelsea"))
    wired = graph(
        {
            "in": ("input.ImageInput", {"name": "photo"}),
            "w": ("input.IntegerInput", {"name": "width", "value": 10}),
            "t": ("input.TextInput", {"name": "title"}),
            "small": ("image.Resize", {"height": 90}),
            "out": ("output.ImageOutput", {"name": "../thumbnail"}),
            "said": ("output.TextOutput", {"name": "title"}),
        },
        "in.output > small.image",
        "w.output > small.width",
        "small.output > out.value",
        "t.output > said.value",
    )
    file = tmp_path / "workflow.json"
    file.write_text(json.dumps({"name": "exported", "graph": wired.model_dump()}))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "processing_context.cli.main", "run", str(file)),
        *("-p", f"photo=@{tmp_path / 'cat.jpg'}", "-p", "width=120", "-p", "title=007"),
        *("--url", short.url, "--out", str(tmp_path / "out")),
        env=os.environ | {"CONTEXT_TOKEN": somebody.token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await process.communicate()
    assert process.returncode == 0, stderr.decode()
    saved = json.loads(stdout)
    assert saved == {
        "../thumbnail": [str(tmp_path / "out" / "thumbnail.png")],
        "title": [str(tmp_path / "out" / "title.txt")],
    }
    with Image.open(saved["../thumbnail"][0]) as image:
        assert image.size == (120, 90)
    assert (tmp_path / "out" / "title.txt").read_text() == "007"
    assert "Resize [small]: completed" in stderr.decode()
    assert "job: completed" in stderr.decode()


async def test_cancel_by_someone_else_is_told_to_the_caller(context: ProcessingContext) -> None:
    call = asyncio.create_task(context.run_worker(one("faulty.NeverEnds")))
    message = await context.pop_message_async()
    await context.cancel_job(str(message.job_id))
    with pytest.raises(JobCancelledError):
        await call


async def test_a_worker_with_free_slots_is_given_each_lease_once(
    context: ProcessingContext, short: Service
) -> None:
    nap = one("control.Sleep", {"seconds": 0.3})
    before = await short.run(short.db.pool.fetchval("select count(*) from job_leases"))
    await asyncio.gather(*(context.run_worker(nap) for _ in range(8)))
    after = await short.run(short.db.pool.fetchval("select count(*) from job_leases"))
    assert after - before == 8
