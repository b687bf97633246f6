"""Table of measurements, their baselines and the ratios, from alternating rounds."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Round = Callable[[], Awaitable[float]]


@dataclass(frozen=True)
class Row:
    """One row of the table; `ratio` is `measured` divided by `baseline`."""

    name: str
    measured: str
    baseline: str
    ratio: str


async def in_turn(measured: Round, baseline: Round, *, rounds: int) -> tuple[float, float, float]:
    """Run both alternately; return both medians and the median of the rounds' ratios.

    When the speed of the machine changes, both rounds of a pair are affected: so the median of the
    ratios is more stable than the ratio of the medians.
    """
    await measured()
    await baseline()
    pairs = [(await measured(), await baseline()) for _ in range(rounds)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def quantile(values: list[float], share: float) -> float:
    """Return the quantile of values at a share between 0 and 1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def render(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    cells = [
        ("benchmark / baseline", "measured", "baseline", "ratio"),
        *((row.name, row.measured, row.baseline, row.ratio) for row in rows),
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
