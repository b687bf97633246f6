"""Rows: our figure, the limit, and the ratio, from rounds that take turns."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Round = Callable[[], Awaitable[float]]


@dataclass(frozen=True)
class Row:
    """One line of the table; `ratio` is ours to the limit, so that more is better."""

    name: str
    ours: str
    limit: str
    ratio: str


async def in_turn(ours: Round, limit: Round, *, rounds: int) -> tuple[float, float, float]:
    """Run both in turn; return both medians and the median of the rounds' ratios.

    A machine that changes its speed within minutes changes it for both: the ratio of two
    neighbouring rounds says more than the ratio of two medians.
    """
    await ours()
    await limit()
    pairs = [(await ours(), await limit()) for _ in range(rounds)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def quantile(values: list[float], share: float) -> float:
    """Return the value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def render(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    cells = [
        ("what", "ours", "limit", "ratio"),
        *((r.name, r.ours, r.limit, r.ratio) for r in rows),
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
