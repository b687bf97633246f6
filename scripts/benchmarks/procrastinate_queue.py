"""procrastinate, the queue on PostgreSQL that we compare with, in processes like those of a worker.

`python -m scripts.benchmarks.neighbour <database> drain|wait <concurrency>`: says `ready`, and
begins at the first line of its input.
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
    """Return the application; it must be opened."""
    connector = procrastinate.PsycopgConnector(conninfo=conninfo, min_size=2, max_size=8)
    made = procrastinate.App(connector=connector)
    made.task(name="noop")(_noop)
    made.task(name="tell")(_tell)
    return made


async def _noop() -> None:
    """Do nothing."""


async def _tell() -> None:
    """Say when it began, by the clock that all processes share."""
    print(time.perf_counter(), flush=True)


async def create(database_url: str) -> str:
    """Make its database on the server of another one; return how it is reached."""
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
    """Start a worker that waits for `begin`."""
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
    """Let a worker begin."""
    if worker.stdin is None:
        raise RuntimeError("the worker has no input")
    worker.stdin.write(b"begin\n")


async def told(worker: Process) -> float:
    """Return when its next `tell` began."""
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
