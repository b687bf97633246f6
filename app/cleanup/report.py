"""What a sweep did, or would do."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Report:
    """Counts by what was found, and what could not be done."""

    is_dry: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def count(self, what: str, number: int) -> None:
        """Add to a count; what was looked for and not found is told as 0."""
        self.counts[what] = self.counts.get(what, 0) + number

    @property
    def did_something(self) -> bool:
        """Whether anything was found."""
        return any(self.counts.values())
