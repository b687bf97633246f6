"""Steps of the cleanup that domains register, and the report that they fill."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum

logger = logging.getLogger(__name__)

BATCH = 500
"""Number of rows that one transaction deletes."""


@dataclass(slots=True)
class CleanupReport:
    """Numbers of removed and corrected objects, and the problems of a cleanup.

    With `is_dry` nothing is changed, and the numbers are those of a real cleanup.
    """

    is_dry: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def count(self, label: str, number: int) -> None:
        """Add to a number; with 0 the label is reported too."""
        self.counts[label] = self.counts.get(label, 0) + number

    def problem(self, text: str) -> None:
        """Add a problem and log it."""
        logger.error("sweep: %s", text)
        self.problems.append(text)

    @property
    def did_something(self) -> bool:
        """True if any number is not 0."""
        return any(self.counts.values())


class CleanupPhase(IntEnum):
    """Phase of a step; the steps of a phase run in the order of the domains.

    `RECORDS`: rows without objects. `FILES`: rows with objects, some of which are kept as long as a
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
        phase: The phase in which it runs.
        run: The function that cleans up (unless the report is dry) and adds to the report.
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
        phase: The phase in which it runs.
        label: The name of the rows in reports.
        count: The function that counts the rows.
        delete: The function that deletes at most this number of rows, and returns the number of
            deleted rows: 0 after the last one.
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
