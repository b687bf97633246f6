"""Benchmark of `import processing_context` against importing its two main dependencies."""

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
    """Run an import in a new interpreter; return the seconds and the number of modules loaded."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE.format(statement)], capture_output=True, text=True, check=True
    )
    seconds, modules = done.stdout.split()
    return float(seconds), int(modules)


async def rows(_: Stack, rounds: int) -> list[Row]:
    """Measure the time and the modules of importing the package, and of its main class."""
    return [
        *await _compare("import processing_context", rounds),
        *await _compare("from processing_context import ProcessingContext", rounds),
    ]


async def _compare(statement: str, rounds: int) -> list[Row]:
    bare = "import httpx2, pydantic"

    async def package() -> float:
        return probe(statement)[0]

    async def dependencies() -> float:
        return probe(bare)[0]

    measured, baseline, ratio = await in_turn(package, dependencies, rounds=rounds)
    modules, bare_modules = probe(statement)[1], probe(bare)[1]
    return [
        Row(
            f"{statement} / {bare} (less is better)",
            f"{measured * 1000:.0f} ms",
            f"{baseline * 1000:.0f} ms",
            f"{ratio:.2f}",
        ),
        Row(
            "modules loaded by the same (less is better)",
            str(modules),
            str(bare_modules),
            f"{modules / bare_modules:.2f}",
        ),
    ]
