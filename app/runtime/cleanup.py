"""Cleanup steps, which domains register, and the report of a cleanup."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum

logger = logging.getLogger(__name__)

BATCH = 500
"""Maximum number of rows that one transaction deletes."""


@dataclass(slots=True)
class CleanupReport:
    """Report of a cleanup.

    Attributes:
        is_dry: Count only; nothing is removed or corrected.
        counts: The numbers of removed or corrected things, by label.
        problems: The reasons why the cleanup is incomplete.
    """

    is_dry: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def count(self, label: str, number: int) -> None:
        """Add a number to a count; counts of 0 are reported too."""
        self.counts[label] = self.counts.get(label, 0) + number

    def problem(self, text: str) -> None:
        """Add a problem and log it."""
        logger.error("sweep: %s", text)
        self.problems.append(text)

    @property
    def did_something(self) -> bool:
        """True if a count is not 0."""
        return any(self.counts.values())


class CleanupPhase(IntEnum):
    """Phases of a cleanup, in their order; within a phase, steps run in the order of the domains.

    Attributes:
        RECORDS: Rows without objects in storage.
        FILES: Rows with objects, some of which are kept as long as a record exists.
        BUCKETS: Objects without rows, and rows without objects.
        TOTALS: Totals over rows.
    """

    RECORDS = 1
    FILES = 2
    BUCKETS = 3
    TOTALS = 4


@dataclass(frozen=True, slots=True)
class CleanupStep:
    """Step of a cleanup.

    Args:
        phase: The phase in which the step runs.
        run: Performs the step, or only counts if `is_dry`, and adds counts to the report.
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
        phase: The phase in which the step runs.
        label: The label of the count in reports.
        count: Returns the number of expired rows.
        delete: Deletes at most the given number of rows; returns the number, 0 at the end.
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
