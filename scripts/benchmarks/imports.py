"""What `import processing_context` costs, against the two libraries that it cannot do without."""

from __future__ import annotations

import subprocess
import sys

from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row, in_turn

_PROBE = """
import sys, time
before, started = len(sys.modules), time.perf_counter()
{}
print(time.perf_counter() - started, len(sys.modules) - before)
"""


def probe(statement: str) -> tuple[float, int]:
    """Import in a fresh interpreter; return seconds and the number of modules that came."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE.format(statement)], capture_output=True, text=True, check=True
    )
    seconds, modules = done.stdout.split()
    return float(seconds), int(modules)


async def rows(_: Stack, rounds: int) -> list[Row]:
    """Measure time and count modules: of the name alone, and with what a script uses first."""
    return [
        *await _beside("import processing_context", rounds),
        *await _beside("from processing_context import ProcessingContext", rounds),
    ]


async def _beside(statement: str, rounds: int) -> list[Row]:
    least = "import httpx2, pydantic"

    async def ours() -> float:
        return probe(statement)[0]

    async def limit() -> float:
        return probe(least)[0]

    mine, bare, ratio = await in_turn(ours, limit, rounds=rounds)
    modules, bare_modules = probe(statement)[1], probe(least)[1]
    return [
        Row(
            f"{statement} / {least} (less is better)",
            f"{mine * 1000:.0f} ms",
            f"{bare * 1000:.0f} ms",
            f"{ratio:.2f}",
        ),
        Row(
            "modules of it / of them (less is better)",
            str(modules),
            str(bare_modules),
            f"{modules / bare_modules:.2f}",
        ),
    ]
