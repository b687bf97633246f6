"""`scripts/bench [--rounds N]`: start a stack of its own, measure, print one table."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import tempfile
from pathlib import Path

from app.core import migrate
from app.embedded.stack import embedded_stack
from app.settings import Settings
from processing_context import ProcessingContext
from scripts.benchmarks import imports, jobs, transfers
from scripts.benchmarks.load import cpu_per_request
from scripts.benchmarks.table import Row, in_turn, render
from tests.processes import TOKEN, environment, running_service, running_worker, started
from tests.services import free_port


async def _metadata(
    ctx: ProcessingContext,
    url: str,
    pid: int,
    bare_url: str,
    bare_pid: int,
    token: str,
    rounds: int,
) -> Row:
    asset = await ctx.create_asset("one", "text/plain", b"x")

    async def ours() -> float:
        return 1 / await cpu_per_request(f"{url}/v1/assets/{asset.id}", pid, token)

    async def limit() -> float:
        return 1 / await cpu_per_request(f"{bare_url}/assets/{asset.id}", bare_pid)

    mine, most, ratio = await in_turn(ours, limit, rounds=rounds)
    return Row(
        "GET one asset / bare FastAPI route with one asyncpg query, per CPU second",
        f"{mine:.0f}/s",
        f"{most:.0f}/s",
        f"{ratio:.2f}",
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="rounds of 1 s of each side")
    rounds: int = parser.parse_args().rounds
    with (
        tempfile.TemporaryDirectory(prefix="context-bench-") as folder,
        embedded_stack(Settings(data_dir=Path(folder), port=0)) as settings,
    ):
        migrate.upgrade(settings.database_url or "")
        port, bare_port = free_port(), free_port()
        url, bare_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{bare_port}"
        with (
            running_service(settings, port=port, log_level="WARNING") as service,
            started(
                "-m",
                "scripts.benchmarks.bare",
                str(bare_port),
                env=environment(settings),
                ready_url=f"{bare_url}/healthz",
            ) as bare,
            running_worker(url, TOKEN, "--slots", "8"),
        ):

            async def measure() -> list[Row]:
                async with ProcessingContext(base_url=url, token=TOKEN) as ctx:
                    return [
                        await _metadata(ctx, url, service.pid, bare_url, bare.pid, TOKEN, rounds),
                        *await transfers.rows(ctx, settings, rounds=rounds),
                        *await jobs.rows(url, TOKEN, settings.database_url or "", rounds=rounds),
                        *await imports.rows(rounds=rounds),
                    ]

            rows = asyncio.run(measure())
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(render(rows))


if __name__ == "__main__":
    main()
