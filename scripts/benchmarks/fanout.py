"""Benchmark of the fan-out of one job's events to many WebSockets, by CPU."""

from __future__ import annotations

import httpx
import orjson

from scripts.benchmarks.lease import Lease
from scripts.benchmarks.readers import Readers
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row, in_turn
from tests.support.processes import cpu_s, environment, started
from tests.support.services import free_port

SOCKETS = 1000
BATCH = 10
BATCHES_A_ROUND = 5
EVENTS_A_ROUND = BATCH * BATCHES_A_ROUND
MARK = b'"type":"log"'
MESSAGE = "x" * 40
TEXT = (
    '{"type":"log","job_id":"019aaaaaaaaa7000800000000000aaaa","seq":1234,"attempt":1,'
    f'"time":"2026-01-01T00:00:00.000000Z","level":"info","message":"{MESSAGE}"}}'
)
LINES = "\n".join([TEXT] * BATCH)


async def rows(stack: Stack, rounds: int) -> list[Row]:
    """Measure the CPU time per delivery, including the POST requests."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    arguments = ("-m", "scripts.benchmarks.bare_sockets", str(port))
    env = environment(stack.settings)
    with started(*arguments, env=env, ready_url=url) as bare:
        async with Lease.of(stack) as lease, httpx.AsyncClient(timeout=60) as http:
            op = orjson.dumps({"op": "subscribe", "job_id": lease.job_id})
            service_url = f"{stack.url}/v1/ws".replace("http", "ws", 1)
            bare_url = url.replace("http", "ws", 1)
            async with (
                Readers(service_url, stack.token, SOCKETS, message=op, mark=MARK) as readers,
                Readers(bare_url, "", SOCKETS, message=b"", mark=MARK) as bare_readers,
            ):

                async def deliver() -> float:
                    before = cpu_s(stack.pid)
                    for _ in range(BATCHES_A_ROUND):
                        await lease.log(*[MESSAGE] * BATCH)
                        await readers.wait_for(SOCKETS * BATCH)
                    return (cpu_s(stack.pid) - before) / (EVENTS_A_ROUND * SOCKETS)

                async def deliver_bare() -> float:
                    before = cpu_s(bare.pid)
                    for _ in range(BATCHES_A_ROUND):
                        (await http.post(url, content=LINES)).raise_for_status()
                        await bare_readers.wait_for(SOCKETS * BATCH)
                    return (cpu_s(bare.pid) - before) / (EVENTS_A_ROUND * SOCKETS)

                measured, baseline, ratio = await in_turn(deliver, deliver_bare, rounds=rounds)
    return [
        Row(
            f"CPU per delivery of events to {SOCKETS} sockets / uvicorn sending from one loop",
            f"{measured * 1e6:.1f} µs",
            f"{baseline * 1e6:.1f} µs",
            f"{ratio:.2f}",
        )
    ]
