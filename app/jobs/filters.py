"""Filters of the list of jobs."""

from __future__ import annotations

from typing import NamedTuple

from app.runtime.ids import is_id
from processing_context.wire.jobs import JobStatus


class JobFilters(NamedTuple):
    """Filters of a list of jobs; a filter of None is not applied."""

    status: JobStatus | None = None
    workflow_id: str | None = None
    name: str | None = None
    rerun_of: str | None = None
    parent_job_id: str | None = None

    @property
    def match_nothing(self) -> bool:
        """True if no job can match: a filter is a malformed id, or has a NUL."""
        ids = (self.workflow_id, self.rerun_of, self.parent_job_id)
        return any(id_ is not None and not is_id(id_) for id_ in ids) or "\0" in (self.name or "")
