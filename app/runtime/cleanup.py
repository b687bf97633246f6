"""Steps of the cleanup that domains register, and the report that they fill."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum

logger = logging.getLogger(__name__)

BATCH = 500
"""How many rows one transaction deletes."""


@dataclass(slots=True)
class CleanupReport:
    """Counts of what a cleanup removed or corrected, and the problems that it met.

    With `is_dry` nothing is changed, and the counts are of what would be.
    """

    is_dry: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def count(self, label: str, number: int) -> None:
        """Add to a count; one that stays 0 is reported too."""
        self.counts[label] = self.counts.get(label, 0) + number

    def problem(self, text: str) -> None:
        """Add a problem, and log it."""
        logger.error("sweep: %s", text)
        self.problems.append(text)

    @property
    def did_something(self) -> bool:
        """Whether anything was found."""
        return any(self.counts.values())


class CleanupPhase(IntEnum):
    """When a step runs; within a phase steps run in the order of the domains.

    `RECORDS`: rows without objects. `FILES`: rows with objects, some of which live as long as a
    record. `BUCKETS`: objects without rows, and rows without objects. `TOTALS`: totals over rows.
    """

    RECORDS = 1
    FILES = 2
    BUCKETS = 3
    TOTALS = 4


@dataclass(frozen=True, slots=True)
class CleanupStep:
    """A step of the cleanup.

    Args:
        phase: When it runs.
        run: Does it, unless the report is dry, and adds counts to the report.
    """

    phase: CleanupPhase
    run: Callable[[CleanupReport], Awaitable[None]]


def deletion(
    phase: CleanupPhase,
    label: str,
    *,
    count: Callable[[], Awaitable[int]],
    delete: Callable[[int], Awaitable[int]],
) -> CleanupStep:
    """Return a step that deletes expired rows in batches.

    Args:
        phase: When it runs.
        label: The rows, as reports name them.
        count: Counts them.
        delete: Deletes at most so many of them; returns how many, 0 when none is left.
    """

    async def run(report: CleanupReport) -> None:
        total = 0
        if report.is_dry:
            total = await count()
        else:
            while deleted := await delete(BATCH):
                total += deleted
        report.count(label, total)

    return CleanupStep(phase, run)
