"""The worker that a claim acts for, and what workers can run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerCapabilities:
    """The jobs that a worker can run; `node_types` None: all types."""

    names: frozenset[str]
    node_types: frozenset[str] | None

    def can_run(self, capabilities: Iterable[str], node_types: Iterable[str]) -> bool:
        """Return whether the worker can run a job that needs these."""
        return self.names.issuperset(capabilities) and (
            self.node_types is None or self.node_types.issuperset(node_types)
        )


@dataclass(frozen=True, slots=True)
class Claimant:
    """A worker that claims jobs; `owner_id` None: jobs of all users."""

    id: str
    owner_id: str | None
    capabilities: WorkerCapabilities
    is_draining: bool
