"""`scripts/bench [part ...] [--rounds N]`: start a stack, run benchmarks, print one table."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
from collections.abc import Awaitable, Callable

from scripts.benchmarks import (
    catalogue,
    claim_conditions,
    claim_statements,
    claims,
    events,
    fanout,
    imports,
    jobs,
    large,
    memory,
    metadata,
    printing,
    routes,
    runner,
    small,
    worker_memory,
)
from scripts.benchmarks.stack import Stack, running_stack
from scripts.benchmarks.table import Row, render

PARTS: dict[str, Callable[[Stack, int], Awaitable[list[Row]]]] = {
    "service.routes": routes.rows,
    "service.catalogue": catalogue.rows,
    "assets.metadata": metadata.rows,
    "assets.small": small.rows,
    "assets.large": large.rows,
    "assets.memory": memory.rows,
    "assets.imports": imports.rows,
    "jobs.throughput": jobs.rows,
    "jobs.runner": runner.rows,
    "jobs.claims": claims.rows,
    "jobs.queue": claim_conditions.rows,
    "jobs.statements": claim_statements.rows,
    "jobs.memory": worker_memory.rows,
    "jobs.events": events.rows,
    "jobs.printing": printing.rows,
    "jobs.fanout": fanout.rows,
}


def _named(name: str) -> list[str]:
    found = [part for part in PARTS if part == name or part.startswith(f"{name}.")]
    if not found:
        raise argparse.ArgumentTypeError(
            f"{name!r} is not a part: use service, assets, jobs, or one of {', '.join(PARTS)}"
        )
    return found


def main() -> None:
    """Run the parts, each on a new stack, and print the table."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        type=_named,
        default=[list(PARTS)],
        metavar="part",
        help=f"service, assets, jobs, or one of {', '.join(PARTS)}; default: all",
    )
    parser.add_argument("--rounds", type=int, default=9, help="rounds per measurement")
    options = parser.parse_args()
    rows: list[Row] = []
    for name in dict.fromkeys(name for names in options.parts for name in names):
        with running_stack() as stack:
            rows += asyncio.run(_measure(name, stack, options.rounds))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(render(rows))


async def _measure(name: str, stack: Stack, rounds: int) -> list[Row]:
    return await PARTS[name](stack, rounds)


if __name__ == "__main__":
    main()
