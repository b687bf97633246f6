"""Tests of embedded servers after `kill -9` of a server or of its parent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import obstore
import pytest
import pytest_asyncio

from app.embedded.process import Child, Command
from app.embedded.stack import Stack, embedded_stack
from app.embedded.supervision import keep_running
from app.runtime.errors import CommandError
from app.settings import Settings
from tests.support.probes import ask, is_alive, processes_with, query, read, store, wait_until
from tests.support.services import WAIT_S

PARENT = """
import json, sys, time
from pathlib import Path
from app.embedded.stack import running_stack
from app.settings import Settings

with running_stack(Settings(data_dir=Path(sys.argv[1]))) as stack:
    known = stack.settings.model_dump(include={"database_url", "s3_endpoint"})
    keys = {name: getattr(stack.settings, name).get_secret_value() for name in sys.argv[2:]}
    print(json.dumps(known | keys), flush=True)
    time.sleep(600)
"""


@pytest_asyncio.fixture
async def supervised(running: Stack) -> AsyncIterator[Stack]:
    """The running stack, whose servers are started again when they die."""
    tasks = [asyncio.create_task(watch) for watch in running.watches()]
    yield running
    for task in tasks:
        task.cancel()


async def test_a_killed_postgres_comes_back_with_every_row(supervised: Stack) -> None:
    [postgres] = [s for s in supervised.servers if s.child.command.name == "PostgreSQL"]
    await ask(supervised.database_url, "create table kept as select generate_series(1, 1000)")
    before = postgres.child.pid
    os.kill(before, signal.SIGKILL)
    assert await eventually(supervised.database_url, "select count(*) from kept") == 1000
    assert postgres.child.pid != before


async def test_a_killed_s3_server_comes_back_with_every_object(supervised: Stack) -> None:
    [s3] = [s for s in supervised.servers if s.child.command.name == "the S3 server"]
    bucket = store(supervised.settings)
    for number in range(50):
        obstore.put(bucket, f"kept/{number}", bytes([number]) * 10_000)
    before = s3.child.pid
    os.kill(before, signal.SIGKILL)
    async with asyncio.timeout(WAIT_S):
        while s3.child.pid == before or not await asyncio.to_thread(s3.is_ready):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    for number in range(50):
        assert read(bucket, f"kept/{number}") == bytes([number]) * 10_000


async def eventually(database_url: str, sql: str) -> object:
    """Ask again while the server is away."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                return await ask(database_url, sql)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(0.05)


async def test_a_child_that_does_not_come_back_is_given_up(tmp_path: Path) -> None:
    command = Command(
        name="the failing one",
        argv=["false"],
        environment=dict(os.environ),
        stop_signal=signal.SIGTERM,
        death_signal=signal.SIGTERM,
        stop_s=1,
        log=tmp_path / "log",
    )
    child = Child(command)
    child.start()
    with pytest.raises(CommandError, match="the failing one cannot be restarted"):
        await keep_running(child, lambda: False, tries=2)


def test_killing_the_parent_leaves_no_process_and_loses_nothing(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    secrets = ("s3_access_key", "s3_secret_key", "secret_key")
    command = [sys.executable, "-c", PARENT, str(data_dir), *secrets]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        try:
            assert parent.stdout
            found = Settings.model_validate({**json.loads(parent.stdout.readline()), "port": 0})
            assert found.database_url
            query(found.database_url, "create table kept as select 'row' as value")
            obstore.put(store(found), "kept", b"object")
            servers = processes_with(data_dir / "servers.lock")
            assert len(servers) >= 3  # the parent, the S3 server, PostgreSQL and its children
        finally:
            parent.kill()

    # At once: the start has to wait for the servers that are still dying.
    with embedded_stack(Settings(data_dir=data_dir)) as again:
        assert again.database_url
        assert query(again.database_url, "select value from kept") == "row"
        assert read(store(again), "kept") == b"object"
        assert again.s3_endpoint == found.s3_endpoint
        assert again.secret_key == found.secret_key
        assert not [pid for pid in servers if is_alive(pid)]
    wait_until(lambda: not processes_with(data_dir / "servers.lock"))
