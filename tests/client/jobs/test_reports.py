"""Tests of what callers learn about a job: why it waits, and where it failed."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import traceback
from pathlib import Path

import pytest

import processing_context as pc
from processing_context import Log, ProcessingContext
from processing_context.wire.jobs import Job
from tests.support.client_jobs import GRAPH, first_job
from tests.support.manual_worker import HandWorker
from tests.support.services import WAIT_S, Service, User


async def log_line(ctx: ProcessingContext) -> Log:
    async with asyncio.timeout(WAIT_S):
        while True:
            message = await ctx.pop_message_async()
            if isinstance(message, Log):
                return message


async def test_a_job_that_no_worker_can_run_says_so(
    ctx: ProcessingContext, service: Service, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    run = asyncio.create_task(ctx.run_worker(GRAPH))
    message = await log_line(ctx)
    job = await first_job(user)
    waiting = f"job {job['id']} is queued: {job['waiting_reason']}"
    assert job["waiting_reason"]
    assert (message.level, message.message, message.seq) == ("warning", waiting, None)
    assert (waiting, logging.WARNING) in [(r.getMessage(), r.levelno) for r in caplog.records]
    worker = await HandWorker.of(service, user)
    await worker.claim()
    await worker.complete(x=1)
    assert await run == {"x": 1}
    await worker.aclose()


async def test_a_job_that_starts_is_not_reported_as_waiting(
    ctx: ProcessingContext, worker: HandWorker
) -> None:
    run = asyncio.create_task(ctx.run_worker(GRAPH))
    await worker.claim()
    await asyncio.sleep(1.5)
    await worker.complete()
    await run
    kinds = set()
    while ctx.has_messages():
        kinds.add(ctx.pop_message().type)
    assert kinds == {"job_update"}


async def test_the_command_line_shows_once_why_a_job_waits(
    service: Service, user: User, tmp_path: Path
) -> None:
    file = tmp_path / "workflow.json"
    file.write_text(json.dumps(GRAPH))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "processing_context.cli.main", "run", str(file), "-p", "x=1"),
        *("--url", service.url),
        env=os.environ | {"CONTEXT_TOKEN": user.token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    job = await first_job(user)
    assert process.stderr is not None
    said = b""
    async with asyncio.timeout(WAIT_S):
        while b"is queued" not in said:
            said += await process.stderr.readline()
    await user.http.post(f"/v1/jobs/{job['id']}/cancel")
    _, rest = await process.communicate()
    assert (said + rest).decode().count(f"warning: job {job['id']} is queued: ") == 1


async def test_the_cause_of_a_failure_is_the_traceback_of_the_node(
    ctx: ProcessingContext, worker: HandWorker, user: User
) -> None:
    run = asyncio.create_task(ctx.run_worker(GRAPH))
    job = await worker.claim()
    trace = 'Traceback (most recent call last):\n  File "blur.py", line 3, in process\nKeyError: 1'
    error = {"code": "node_failed", "message": "KeyError: 1", "node_id": "in", "traceback": trace}
    await worker.say({"type": "job_update", "status": "failed", "error": error})
    with pytest.raises(pc.JobFailedError) as caught:
        await run
    assert str(caught.value) == f"job {job['id']} failed at node in: KeyError: 1"
    shown = "".join(traceback.format_exception(caught.value))
    assert 'File "blur.py", line 3, in process' in shown
    assert shown.index("blur.py") < shown.index("The above exception was the direct cause")
    found = Job.model_validate((await user.http.get(f"/v1/jobs/{job['id']}")).json())
    assert found.error is not None
    assert found.error.traceback == trace


async def test_a_failure_without_a_traceback_has_no_cause(
    ctx: ProcessingContext, worker: HandWorker
) -> None:
    run = asyncio.create_task(ctx.run_worker(GRAPH))
    await worker.claim()
    await worker.fail("no luck", "in")
    with pytest.raises(pc.JobFailedError, match="no luck") as caught:
        await run
    assert caught.value.__cause__ is None
