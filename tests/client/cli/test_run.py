"""Tests of `processing-context run` in child processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.jobs import graph, status_is
from tests.support.services import Service, User, eventually

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@asynccontextmanager
async def _running(
    service: Service, user: User, file: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "processing_context.cli.main", "run", str(file)),
        env={**os.environ, "CONTEXT_URL": service.url, "CONTEXT_TOKEN": user.token},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_a_signal_that_ends_the_command_cancels_its_job(
    service: Service, user: User, tmp_path: Path, number: signal.Signals
) -> None:
    file = tmp_path / "workflow.json"
    file.write_text(json.dumps(graph("nobody.Runs")))
    job_ids: list[str] = []

    async def is_queued() -> bool:
        jobs = (await user.http.get("/v1/jobs")).json()["jobs"]
        job_ids[:] = [job["id"] for job in jobs if job["status"] == "queued"]
        return bool(job_ids)

    async with _running(service, user, file) as process:
        await eventually(is_queued)
        process.send_signal(number)
        _, stderr = await process.communicate()
    assert process.returncode == (130 if number == signal.SIGINT else 143), stderr
    assert b"Traceback" not in stderr
    await status_is(user, job_ids[0], "cancelled")
