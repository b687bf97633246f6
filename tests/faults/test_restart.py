"""The service restarts under a thousand open sockets."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

import httpx
import pytest

from app.settings import Settings
from processing_context import Gap, ProcessingContext
from processing_context._transport.retry import BASE_S, Retry
from tests.support.jobs import start, worker_of
from tests.support.processes import TOKEN, running_service
from tests.support.services import WAIT_S, User, free_port

READERS = 1000
PATIENCE_S = 5 * WAIT_S
LOG = {"type": "log", "level": "info", "message": "m"}


class Readers:
    """Many who read the events of one job."""

    def __init__(self, context: ProcessingContext, job_id: str) -> None:
        self.seen: list[list[int]] = [[] for _ in range(READERS)]
        self._tasks = [asyncio.create_task(self._read(context, job_id, seen)) for seen in self.seen]

    async def all_saw(self, seq: int) -> None:
        """Return once all have seen an event; raise what one of them raises."""
        while not all(seen and seen[-1] >= seq for seen in self.seen):
            done, _ = await asyncio.wait(self._tasks, timeout=0.1)
            for task in done:
                task.result()

    async def ended(self) -> None:
        """Return once all have come to the end."""
        await asyncio.gather(*self._tasks)

    async def _read(self, context: ProcessingContext, job_id: str, seen: list[int]) -> None:
        async for event in context.job_events(job_id):
            assert not isinstance(event, Gap)
            assert event.seq is not None
            seen.append(event.seq)


@pytest.fixture
def _many_files() -> Iterator[None]:
    """Let this process and the service have a file for each socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("_many_files")
@pytest.mark.timeout(3 * PATIENCE_S)
async def test_all_of_a_thousand_sockets_resume_when_the_service_restarts(
    new_settings: Callable[..., Settings],
) -> None:
    settings = new_settings(port=free_port(), lease_ttl_s=3600, heartbeat_interval_s=10)
    url = f"http://127.0.0.1:{settings.port}"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=WAIT_S) as http,
        AsyncExitStack() as stack,
        asyncio.timeout(2 * PATIENCE_S),
    ):
        with running_service(settings) as first:
            context = ProcessingContext(base_url=url, token=TOKEN)
            await stack.enter_async_context(context)
            user = User("", TOKEN, http)
            job = await start(user)
            held = await (await worker_of(user)).take()
            await held.post(LOG, LOG, LOG)
            readers = Readers(context, job["id"])
            await readers.all_saw(5)
            first.send_signal(signal.SIGTERM)
            await asyncio.to_thread(first.wait)
        with running_service(settings):
            await held.post(LOG, LOG, LOG)
            await held.complete()
            await readers.ended()
        assert readers.seen == [list(range(1, 10))] * READERS


def test_those_who_lost_a_service_do_not_come_back_together() -> None:
    """Each tenth of the time that they may wait has some of them, at the first try and later."""
    retries = [Retry(0, patience_s=60) for _ in range(READERS)]
    for longest in (BASE_S, 2 * BASE_S, 4 * BASE_S):
        delays = [retry.next_delay_s() for retry in retries]
        assert {int(10 * (delay or 0) / longest) for delay in delays} == set(range(10))
