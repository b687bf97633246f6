"""`scripts/bench [assets|jobs|imports] [--rounds N]`: start a stack, measure, print one table."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.core import migrate
from app.embedded.stack import embedded_stack
from app.settings import Settings
from processing_context import ProcessingContext
from scripts.benchmarks import assets, imports, jobs, memory, transfers
from scripts.benchmarks.table import Row, render
from tests.processes import TOKEN, environment, running_service, running_worker, started
from tests.services import free_port

GROUPS = ("assets", "jobs", "imports")


@dataclass(frozen=True)
class _Stack:
    settings: Settings
    url: str
    pid: int

    @property
    def database_url(self) -> str:
        return self.settings.database_url or ""


@contextmanager
def _stack() -> Iterator[_Stack]:
    with (
        tempfile.TemporaryDirectory(prefix="context-bench-") as folder,
        embedded_stack(Settings(data_dir=Path(folder), port=0)) as settings,
    ):
        migrate.upgrade(settings.database_url or "")
        port = free_port()
        with running_service(settings, port=port, log_level="WARNING") as service:
            yield _Stack(settings, f"http://127.0.0.1:{port}", service.pid)


async def _assets(stack: _Stack, rounds: int) -> list[Row]:
    port = free_port()
    bare_url = f"http://127.0.0.1:{port}"
    async with ProcessingContext(base_url=stack.url, token=TOKEN) as ctx:
        with started(
            *("-m", "scripts.benchmarks.bare", str(port)),
            env=environment(stack.settings),
            ready_url=f"{bare_url}/healthz",
        ) as bare:
            ours, limit = (stack.url, stack.pid), (bare_url, bare.pid)
            found = [await assets.one(ctx, ours, limit, TOKEN, rounds)]
        found += await transfers.rows(ctx, stack.settings, rounds=rounds)
        found += await memory.rows(stack.url, TOKEN, stack.pid)
        found += await assets.many(stack.url, TOKEN, stack.database_url, rounds=rounds)
    return found


async def _jobs(stack: _Stack, rounds: int) -> list[Row]:
    with running_worker(stack.url, TOKEN, "--slots", "8"):
        return await jobs.rows(stack.url, TOKEN, stack.database_url, rounds=rounds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("group", nargs="?", choices=GROUPS, help="default: all")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each side")
    options = parser.parse_args()
    groups = [options.group] if options.group else GROUPS
    rows: list[Row] = []
    if "assets" in groups or "jobs" in groups:
        with _stack() as stack:
            if "assets" in groups:
                rows += asyncio.run(_assets(stack, options.rounds))
            if "jobs" in groups:
                rows += asyncio.run(_jobs(stack, options.rounds))
    if "imports" in groups or "assets" in groups:
        rows += asyncio.run(imports.rows(rounds=options.rounds))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(render(rows))


if __name__ == "__main__":
    main()
