"""What `import processing_context` costs, against the two libraries that it cannot do without."""

from __future__ import annotations

import subprocess
import sys

from scripts.benchmarks.table import Row, in_turn

_PROBE = """
import sys, time
before, started = len(sys.modules), time.perf_counter()
import {}
print(time.perf_counter() - started, len(sys.modules) - before)
"""


def probe(names: str) -> tuple[float, int]:
    """Import in a fresh interpreter; return seconds and the number of modules that came."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE.format(names)], capture_output=True, text=True, check=True
    )
    seconds, modules = done.stdout.split()
    return float(seconds), int(modules)


async def rows(*, rounds: int) -> list[Row]:
    """Measure time and count modules."""

    async def ours() -> float:
        return probe("processing_context")[0]

    async def limit() -> float:
        return probe("httpx, pydantic")[0]

    mine, least, ratio = await in_turn(ours, limit, rounds=rounds)
    modules, least_modules = probe("processing_context")[1], probe("httpx, pydantic")[1]
    return [
        Row(
            "import processing_context / httpx + pydantic",
            f"{mine * 1000:.0f} ms",
            f"{least * 1000:.0f} ms",
            f"{ratio:.2f}",
        ),
        Row(
            "modules of it / of httpx + pydantic",
            str(modules),
            str(least_modules),
            f"{modules / least_modules:.2f}",
        ),
    ]
