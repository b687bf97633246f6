"""Tests of the decoder pool with hostile files."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
import pytest_asyncio

from app.media.decoders.errors import ConversionTimeout, DecodersBusy, SourceTooLarge, Undecodable
from app.media.decoders.pool import Decoders
from app.media.decoders.sources import Source
from app.storage import StorageUnavailable
from tests.support.loop import turns
from tests.support.services import WAIT_S, eventually

MIB = 1024 * 1024
HERE = "tests.support.hostile_decoders"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits are Linux's")


def source_of(data: bytes) -> Source:
    async def read(start: int, end: int) -> bytes:
        return data[start:end]

    return Source(len(data), read)


def signalling_source(is_read: asyncio.Event) -> Source:
    """Return a source that sets an event when it is read."""

    async def read(start: int, end: int) -> bytes:
        is_read.set()
        return bytes(end - start)

    return Source(1, read)


@asynccontextmanager
async def hanging(decoders: Decoders, user_id: str = "user") -> AsyncIterator[asyncio.Task[bytes]]:
    """Run a decoder that hangs, until the block ends."""
    is_read = asyncio.Event()
    task = asyncio.create_task(decoders.run(f"{HERE}:hang", signalling_source(is_read), user_id))
    await asyncio.wait_for(is_read.wait(), WAIT_S)
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def make(**options: float) -> Decoders:
    given = {
        "processes": 1,
        "queue": 100,
        "memory_bytes": 512 * 1024**2,
        "timeout_s": WAIT_S,
        **options,
    }
    return Decoders(**given)  # type: ignore[arg-type]


@pytest_asyncio.fixture
async def decoders() -> AsyncIterator[Decoders]:
    pool = make()
    yield pool
    await pool.close()


def is_running(pid: int) -> bool:
    """Return True if a process is running, and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def exists(pid: int) -> bool:
    """Return True if a process is running or a zombie."""
    return Path(f"/proc/{pid}").exists()


async def pid_of(decoders: Decoders) -> int:
    return int(await decoders.run(f"{HERE}:pid", source_of(b""), "user"))


async def test_a_function_gets_the_source_and_its_options(decoders: Decoders) -> None:
    data = os.urandom(3_000_000)
    assert (
        await decoders.run(f"{HERE}:cut", source_of(data), "user", start=10, end=2_900_000)
        == (data[10:2_900_000])
    )


async def test_only_the_needed_ranges_are_read(decoders: Decoders) -> None:
    ranges: list[tuple[int, int]] = []

    async def read(start: int, end: int) -> bytes:
        ranges.append((start, end))
        return bytes(end - start)

    huge = Source(50 * 1024**3, read)
    await decoders.run(f"{HERE}:cut", huge, "user", start=40 * 1024**3, end=40 * 1024**3 + 10)
    assert sum(end - start for start, end in ranges) <= 1024**2


async def test_a_process_is_reused(decoders: Decoders) -> None:
    assert await pid_of(decoders) == await pid_of(decoders)


async def test_a_refusal_keeps_its_reason_and_the_process(decoders: Decoders) -> None:
    before = await pid_of(decoders)
    with pytest.raises(Undecodable, match="not like this"):
        await decoders.run(f"{HERE}:refuse", source_of(b""), "user")
    assert await pid_of(decoders) == before


async def test_the_text_of_an_unexpected_exception_is_not_disclosed(decoders: Decoders) -> None:
    with pytest.raises(Undecodable) as refused:
        await decoders.run(f"{HERE}:fail", source_of(b""), "user")
    assert refused.value.detail == Undecodable.detail


@pytest.mark.parametrize("how", ["segfault", "leave", "abort"])
async def test_a_crash_fails_one_task(decoders: Decoders, how: str) -> None:
    before = await pid_of(decoders)
    with pytest.raises(Undecodable, match="crashed"):
        await decoders.run(f"{HERE}:{how}", source_of(b""), "user")
    assert await pid_of(decoders) != before


async def test_a_process_that_died_while_idle_is_replaced(decoders: Decoders) -> None:
    before = await pid_of(decoders)
    os.kill(before, signal.SIGKILL)

    async def is_gone() -> bool:
        return not exists(before)

    await eventually(is_gone)
    assert await pid_of(decoders) != before


async def test_a_process_whose_death_is_not_yet_noticed_is_replaced(decoders: Decoders) -> None:
    """The pool still believes that the process is alive when it passes the next task to it."""
    before = await pid_of(decoders)
    [process] = decoders._idle
    os.kill(before, signal.SIGKILL)
    assert process.is_alive
    assert await pid_of(decoders) != before


async def test_memory_is_limited(decoders: Decoders) -> None:
    with pytest.raises(SourceTooLarge, match="memory"):
        await decoders.run(f"{HERE}:swallow", source_of(b""), "user", count=2 * 1024**3)
    assert await pid_of(decoders)


@pytest.mark.parametrize("function", ["fill_numpy", "fill_arrow"])
async def test_memory_of_libraries_is_limited(decoders: Decoders, function: str) -> None:
    """The limit is for data: the code of the libraries alone takes half of it."""
    name, fits = f"{HERE}:{function}", 350 * MIB
    assert int(await decoders.run(name, source_of(b""), "user", count=fits)) == fits
    with pytest.raises(SourceTooLarge, match="memory"):
        await decoders.run(name, source_of(b""), "user", count=2000 * MIB)
    assert await pid_of(decoders)


async def test_a_decoder_can_open_no_socket(decoders: Decoders) -> None:
    results = orjson.loads(await decoders.run(f"{HERE}:open_sockets", source_of(b""), "user"))
    assert results[:-1] == ["refused"] * 10
    assert results[-1] == "EPERM"


async def test_one_user_leaves_a_process_to_others() -> None:
    decoders = make(processes=2)
    await pid_of(decoders)
    async with hanging(decoders, "greedy"):
        waiting = [
            asyncio.create_task(decoders.run(f"{HERE}:pid", source_of(b""), "greedy"))
            for _ in range(5)
        ]
        assert await decoders.run(f"{HERE}:pid", source_of(b""), "other")
        assert not any(task.done() for task in waiting)
        assert decoders.waiting == 5
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    await decoders.close()


async def test_a_full_queue_refuses_tasks_at_once() -> None:
    decoders = make(queue=1)
    await pid_of(decoders)
    async with hanging(decoders):
        waiting = asyncio.create_task(pid_of(decoders))
        await turns()
        with pytest.raises(DecodersBusy) as busy:
            await pid_of(decoders)
        assert busy.value.headers["Retry-After"] == "5"
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    await decoders.close()


async def test_time_is_limited_and_a_hanging_process_is_killed() -> None:
    decoders = make()
    before = await pid_of(decoders)
    decoders._timeout_s = 0.5  # only now, since the limit includes the start of a process
    with pytest.raises(ConversionTimeout):
        await decoders.run(f"{HERE}:hang", source_of(b""), "user")
    decoders._timeout_s = WAIT_S
    assert not is_running(before)
    assert await pid_of(decoders) != before
    await decoders.close()


async def test_cancellation_frees_the_process_slot(decoders: Decoders) -> None:
    before = await pid_of(decoders)
    async with hanging(decoders) as task:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not is_running(before)
    assert await pid_of(decoders) != before


async def test_an_error_of_storage_is_raised_as_such(decoders: Decoders) -> None:
    async def read(_start: int, _end: int) -> bytes:
        raise StorageUnavailable

    with pytest.raises(StorageUnavailable):
        await decoders.run(f"{HERE}:cut", Source(10, read), "user", start=0, end=1)
    assert await pid_of(decoders)


async def test_a_full_pool_raises_an_error_with_retry_after() -> None:
    decoders = make(wait_s=0.2)
    await pid_of(decoders)
    async with hanging(decoders):
        with pytest.raises(DecodersBusy) as busy:
            await decoders.run(f"{HERE}:pid", source_of(b""), "user")
        assert busy.value.headers["Retry-After"] == "5"
    await decoders.close()


async def test_no_more_processes_run_than_configured() -> None:
    decoders = make(processes=2)
    pids = await asyncio.gather(*(pid_of(decoders) for _ in range(10)))
    assert 1 <= len(set(pids)) <= 2
    await decoders.close()
    assert not any(is_running(int(pid)) for pid in pids)


async def test_a_decoder_cannot_write_files_and_has_no_secrets(
    decoders: Decoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTEXT_SECRET_KEY", "secret")
    with pytest.raises(Undecodable):
        await decoders.run(f"{HERE}:write", source_of(b""), "user", path=str(tmp_path / "file"))
    environment = orjson.loads(await decoders.run(f"{HERE}:environment", source_of(b""), "user"))
    assert not any(name.startswith("CONTEXT") for name in environment)
    assert (tmp_path / "file").stat().st_size == 0


async def test_output_of_a_decoder_does_not_disturb_the_protocol(decoders: Decoders) -> None:
    assert await decoders.run(f"{HERE}:chatter", source_of(b""), "user") == b"done"


async def test_decoders_exit_when_the_service_is_killed() -> None:
    script = """
import asyncio
from tests.media.test_decoder_pool import hanging, make, pid_of
async def main():
    pool = make()
    pid = await pid_of(pool)
    async with hanging(pool) as task:
        print(pid, flush=True)
        await task
asyncio.run(main())
"""
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    assert service.stdout is not None
    pid = int(await service.stdout.readline())
    assert is_running(pid)
    service.kill()
    await service.wait()

    async def is_gone() -> bool:
        return not is_running(pid)

    await eventually(is_gone)
