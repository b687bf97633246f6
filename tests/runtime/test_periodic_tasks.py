"""Tests of the log of periodic tasks, and of their pauses while the database is away."""

from __future__ import annotations

import asyncio
import logging

import asyncpg
import pytest

from app.runtime.periodic_tasks import PeriodicTask, PeriodicTasks
from tests.support.services import eventually


class Database:
    """Database that can be away."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.is_away = False
        self.calls = 0

    async def check(self) -> None:
        """Raise while the database is away."""
        self.calls += 1
        if self.is_away:
            raise self.error


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(111, "Connection refused"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.DiskFullError("could not extend file"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        asyncpg.OutOfMemoryError("out of memory"),
    ],
)
async def test_an_outage_of_the_database_is_two_lines_for_all_tasks(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(error)
    runs = [0, 0, 0]

    async def run(number: int) -> None:
        await database.check()
        runs[number] += 1

    tasks = PeriodicTasks(database.check)
    with caplog.at_level(logging.INFO):
        for number in range(len(runs)):
            tasks.start(PeriodicTask(lambda number=number: run(number), 0.01))  # type: ignore[misc]
        await eventually(lambda: _holds(min(runs) > 2))
        database.is_away = True
        await eventually(lambda: _holds(bool(caplog.records)))
        await asyncio.sleep(0.2)
        before = database.calls
        await asyncio.sleep(0.2)
        assert database.calls - before <= 1  # only the check, with back-off
        database.is_away = False
        done = max(runs)
        await eventually(lambda: _holds(min(runs) > done))
    await tasks.stop()
    started, ended = [record.getMessage() for record in caplog.records]
    assert started.endswith(f"wait for it: {error}")
    assert "can be used again" in ended
    assert not any(record.exc_info for record in caplog.records)


async def _holds(value: bool) -> bool:
    return value


async def test_another_failure_is_logged_with_its_traceback_once_and_backs_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    database = Database(ConnectionError())
    failures = 0

    async def run() -> None:
        nonlocal failures
        if failures < 2:
            failures += 1
            raise KeyError("broken")

    tasks = PeriodicTasks(database.check)
    with caplog.at_level(logging.INFO):
        tasks.start(PeriodicTask(run, 0.01))
        await eventually(lambda: _holds(len(caplog.records) == 3))
    await tasks.stop()
    assert [bool(record.exc_info) for record in caplog.records] == [True, False, False]
    assert "works again after 2 failures" in caplog.records[-1].getMessage()
