"""Tests of the gauges about the queue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from app.queue.monitor import QueueMonitor
from tests.support.jobs import owner, start
from tests.support.lanes import connection, id_of, insert_jobs
from tests.support.services import Service


async def test_the_metrics_show_the_queue_and_the_oldest_transaction(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    async with owner(service) as user, connection(service) as on, connection(service) as old:
        await insert_jobs(on, user.id, [id_of(timedelta(hours=1)) for _ in range(3)])
        await on.execute("update jobs set available_at = now() - interval '100 s'")
        await start(user, run_at="2999-01-01T00:00:00Z")
        async with old.transaction(isolation="repeatable_read"):
            await old.fetchval("select pg_sleep(0.2)")
            await service.run(service.get(QueueMonitor).measure())
        lines = (await user.http.get("/metrics")).text.splitlines()
    values = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"
    }
    assert values['context_queued_jobs{state="due"}'] == 3
    assert values['context_queued_jobs{state="delayed"}'] == 1
    assert values["context_oldest_queued_job_seconds"] >= 100
    assert values["context_oldest_transaction_seconds"] >= 0.2
    assert "context_decoder_queue" in values
