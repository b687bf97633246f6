"""Tests of crashes of the service and of PostgreSQL, which clients must not notice."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any

import httpx

from app.settings import Settings
from processing_context import ProcessingContext
from tests.support.processes import (
    TOKEN,
    environment,
    running_service,
    running_worker,
    started,
    wait_for,
)
from tests.support.services import WAIT_S, eventually, free_port

SLOW: dict[str, Any] = {
    "nodes": [
        {"id": "n", "type": "input.IntegerInput", "data": {"name": "n"}},
        {"id": "nap", "type": "control.Sleep", "data": {"seconds": 4}},
        {"id": "out", "type": "output.NumberOutput", "data": {"name": "n"}},
    ],
    "edges": [
        {"source": "n", "sourceHandle": "output", "target": "nap", "targetHandle": "value"},
        {"source": "nap", "sourceHandle": "output", "target": "out", "targetHandle": "value"},
    ],
}


async def test_a_job_outlives_a_kill_of_the_service_and_its_caller_never_notices(
    new_settings: Callable[..., Settings],
) -> None:
    settings = new_settings(port=free_port(), lease_ttl_s=300, heartbeat_interval_s=1)
    url = f"http://127.0.0.1:{settings.port}"
    with running_service(settings) as first, running_worker(url):
        async with ProcessingContext(base_url=url, token=TOKEN) as ctx:
            run = asyncio.create_task(ctx.run_worker(SLOW, {"n": 7}))
            messages: list[Any] = []
            while not messages or messages[-1].type != "node_progress":
                messages.append(await ctx.pop_message_async())
            first.send_signal(signal.SIGKILL)
            first.wait()
            await asyncio.sleep(1)  # worker and client cannot connect meanwhile
            with running_service(settings):
                async with asyncio.timeout(WAIT_S):
                    assert await run == {"n": 7}
                while ctx.has_messages():
                    messages.append(ctx.pop_message())
                seqs = [message.seq for message in messages]
                assert seqs == list(range(1, len(seqs) + 1))
                [job] = (await _get(url, "/v1/jobs"))["jobs"]
                assert (job["status"], job["attempt"]) == ("completed", 1)


async def are_many(made: Sized) -> bool:
    """Return True if enough was created for a kill in the middle."""
    return len(made) > 20


def _postmaster(data_dir: Path) -> int:
    [pid_file] = data_dir.rglob("postmaster.pid")
    return int(pid_file.read_text().splitlines()[0])


async def _get(url: str, path: str) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=WAIT_S) as http:
        reply = await http.get(path)
        assert reply.status_code == 200, reply.text
        return reply.json()


async def test_a_killed_stack_comes_back_with_all_that_it_acknowledged(tmp_path: Path) -> None:
    """`serve` with everything in it, killed while it stores, started again on the same data."""
    settings = Settings(data_dir=tmp_path / "data", port=free_port())
    url = f"http://127.0.0.1:{settings.port}"
    env = environment(settings, local_worker_slots=0)
    stored: dict[str, bytes] = {}

    async def store(ctx: ProcessingContext) -> None:
        while True:
            number = len(stored)
            content = f"file {number}".encode() * 100
            asset = await ctx.create_asset(f"{number}.txt", "text/plain", content)
            stored[asset.id] = content

    async with ProcessingContext(base_url=url, token=TOKEN, user_id="unknown") as ctx:
        with started("-m", "app", "serve", env=env, ready_url=f"{url}/readyz") as stack:
            writer = asyncio.create_task(store(ctx))
            await eventually(lambda: are_many(stored))
            stack.send_signal(signal.SIGKILL)
            stack.wait()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        with started("-m", "app", "serve", env=env, ready_url=f"{url}/readyz"):
            for asset_id, content in stored.items():
                with await ctx.download_asset(asset_id) as file:
                    assert file.read() == content
            listed = [asset.id async for asset in ctx.iter_assets()]
            assert set(stored) <= set(listed)
            assert len(listed) <= len(stored) + 1


async def test_postgresql_killed_under_load_costs_nothing_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    settings = Settings(data_dir=tmp_path / "data", port=free_port())
    url = f"http://127.0.0.1:{settings.port}"
    env = environment(settings, local_worker_slots=0)
    made: list[str] = []
    odd: list[int] = []

    async def load(http: httpx.AsyncClient) -> None:
        while True:
            reply = await http.post("/v1/workflows", json={"name": "w", "graph": {"nodes": []}})
            if reply.status_code == 201:
                made.append(reply.json()["id"])
            elif reply.status_code == 503:
                assert reply.headers["retry-after"]
                await asyncio.sleep(0.05)
            else:
                odd.append(reply.status_code)

    headers = {"Authorization": f"Bearer {TOKEN}"}
    with started("-m", "app", "serve", env=env, ready_url=f"{url}/readyz") as stack:
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=WAIT_S) as http:
            load_tasks = [asyncio.create_task(load(http)) for _ in range(4)]
            await eventually(lambda: are_many(made))
            before = len(made)
            os.kill(_postmaster(settings.data_dir), signal.SIGKILL)

            async def has_gone_on() -> bool:
                return len(made) > before + 50

            await eventually(has_gone_on)
            for task in load_tasks:
                task.cancel()
            await asyncio.gather(*load_tasks, return_exceptions=True)
            wait_for(f"{url}/readyz", stack)
            listed: set[str] = set()
            cursor = ""
            while cursor is not None:
                page = (await http.get(f"/v1/workflows?page_size=1000&cursor={cursor}")).json()
                listed |= {workflow["id"] for workflow in page["workflows"]}
                cursor = page["next"]
    assert odd == []
    assert set(made) <= listed
