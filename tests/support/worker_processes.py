"""Workers for tests: `processing-context worker` in a separate process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from processing_context.wire.jobs import ENDED
from tests.support.jobs import events_of, get
from tests.support.services import WAIT_S, Service, User

ROOT = Path(__file__).parents[2]
NODES = "tests.support.worker_nodes"
START_S = 300.0
"""Longest time that a worker may take to start on a busy machine."""


class WorkerProcess:
    """A running worker process."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """True until the process has ended."""
        return self._process.returncode is None

    def log(self) -> str:
        """Return the log so far."""
        return self._log.read_text()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self._process.send_signal(number)

    async def ended(self, within_s: float = WAIT_S) -> int:
        """Wait for the end of the process; return its exit status."""
        async with asyncio.timeout(within_s):
            return await self._process.wait()

    async def says(self, text: str, *, within_s: float = WAIT_S) -> None:
        """Wait until the log contains a text."""
        await until(lambda: text in self.log(), within_s=within_s, or_tell=self.log)


async def until(holds: Any, *, within_s: float = WAIT_S, or_tell: Any = None) -> None:
    """Wait until a condition holds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not holds():
        if loop.time() > deadline:
            raise AssertionError(or_tell() if or_tell else "it did not come to hold in time")
        await asyncio.sleep(0.02)


async def ended_job(user: User, job_id: str, *, within_s: float = WAIT_S) -> dict[str, Any]:
    """Return a job once it has ended."""
    async with asyncio.timeout(within_s):
        while True:
            job = await get(user, job_id)
            if job["status"] in ENDED:
                return job
            await asyncio.sleep(0.05)


async def node_runs(user: User, job_id: str, node_id: str) -> None:
    """Wait until a node of a job is running."""
    async with asyncio.timeout(START_S):
        while True:
            for event in await events_of(user, job_id):
                if event.get("node_id") == node_id and event.get("status") == "running":
                    return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def worker_process(
    service: Service | str,
    user: User | str,
    *options: str,
    ready: bool = True,
    python_path: Sequence[Path] = (),
) -> AsyncIterator[WorkerProcess]:
    """Run a worker for a service (or a URL) with a user's token, which needs the scope `worker`.

    Args:
        service: The service.
        user: The user.
        options: Options of the command.
        ready: Wait until the worker is registered.
        python_path: Folders that Python searches for modules first.
    """
    url = service if isinstance(service, str) else service.url
    token = user if isinstance(user, str) else user.token
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        with log.open("wb") as target:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "processing_context.cli.main", "worker"),
                *("--url", url, "--nodes", NODES, *options),
                env=os.environ
                | {
                    "CONTEXT_TOKEN": token,
                    "PYTHONPATH": os.pathsep.join(map(str, [*python_path, ROOT])),
                },
                stderr=target,
            )
        worker = WorkerProcess(process, log)
        try:
            if ready:
                await worker.says("registered as", within_s=START_S)
            yield worker
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
