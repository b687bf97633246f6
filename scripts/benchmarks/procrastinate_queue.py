"""Baseline of jobs: procrastinate, another queue on PostgreSQL, with workers in processes.

`python -m scripts.benchmarks.procrastinate_queue <database> drain|wait <concurrency>` prints
`ready`, and starts to work at the first line of its input.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import procrastinate
import psycopg
from sqlalchemy import make_url

from tests.support.processes import ROOT

DATABASE = "procrastinate"


def app(conninfo: str) -> procrastinate.App:
    """Return the application, to be opened by the caller."""
    connector = procrastinate.PsycopgConnector(conninfo=conninfo, min_size=2, max_size=8)
    created = procrastinate.App(connector=connector)
    created.task(name="noop")(_noop)
    created.task(name="clock")(_clock)
    return created


async def _noop() -> None:
    """Do nothing."""


async def _clock() -> None:
    """Print the time of the start, by the clock that all processes share."""
    print(time.perf_counter(), flush=True)


async def create(database_url: str) -> str:
    """Create a database on the server of another one; return its URL."""
    server = make_url(database_url).set(drivername="postgresql")
    conninfo = server.render_as_string(hide_password=False)
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await connection.execute(f"create database {DATABASE}")
    own = server.set(database=DATABASE).render_as_string(hide_password=False)
    async with app(own).open_async() as opened:
        await opened.schema_manager.apply_schema_async()
    return own


@asynccontextmanager
async def worker(conninfo: str, how: str, concurrency: int) -> AsyncIterator[Process]:
    """Start a worker process, which waits for `begin`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, conninfo, how, str(concurrency)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        await _line(process)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def begin(worker: Process) -> None:
    """Make a worker start to work."""
    if worker.stdin is None:
        raise RuntimeError("the worker has no input")
    worker.stdin.write(b"begin\n")


async def next_start(worker: Process) -> float:
    """Return the start of the worker's next `clock` task."""
    return float(await _line(worker))


async def _line(process: Process) -> bytes:
    if process.stdout is None:
        raise RuntimeError("the worker has no output")
    return await process.stdout.readline()


async def _work(conninfo: str, how: str, concurrency: int) -> None:
    async with app(conninfo).open_async() as opened:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await opened.run_worker_async(wait=how == "wait", concurrency=concurrency)


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1], sys.argv[2], int(sys.argv[3])))
