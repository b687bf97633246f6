"""Model of jobs and leases without a database, by the rules of the API.

`lease_operations` defines operations on the model, `lease_world` applies them to the service.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from processing_context.wire.jobs import ENDED

Answer = tuple[Any, ...]
GONE: Answer = (404,)
"""Response for a deleted job or worker, and for 401: a lease's token is deleted with its job."""


class Said(NamedTuple):
    """An event: its attempt, its status (None for a log line), and its text or error code."""

    attempt: int
    status: str | None
    text: str | None = None


@dataclass
class Job:
    """A job. `is_due`: its back-off is over."""

    id: str
    max_attempts: int = 3
    priority: int = 0
    has_timeout: bool = False
    status: str = "queued"
    attempt: int = 1
    is_due: bool = True
    is_cancel_requested: bool = False
    is_past_grace: bool = False
    has_timed_out: bool = False
    log: list[Said] = field(default_factory=lambda: [Said(1, "queued")])

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


@dataclass
class Lease:
    """A lease. `has_expired`: its time is over; `is_over`: the service has ended it."""

    job_id: str
    attempt: int
    worker_id: str
    token: str = ""
    is_confirmed: bool = False
    has_expired: bool = False
    is_over: bool = False
    last_client_seq: int = 0


@dataclass
class Model:
    """All jobs and leases of one user."""

    jobs: dict[str, Job] = field(default_factory=dict)
    leases: list[Lease] = field(default_factory=list)
    workers: list[str] = field(default_factory=list)
    granted: list[Lease] = field(default_factory=list)
    """The leases that the last claim returned."""

    def lease(self, token: str) -> Lease:
        """Return the lease of a token."""
        return next(lease for lease in self.leases if lease.token == token)

    def live(self, job_id: str) -> Lease | None:
        """Return the lease of a job that has not ended, or None."""
        return next((x for x in self.leases if x.job_id == job_id and not x.is_over), None)

    def end(self, job: Job, status: str, code: str | None) -> None:
        """End a job, with an event."""
        job.log.append(Said(job.attempt, status, code))
        job.status = status
        self._end_lease(job)

    def give_back(self, job: Job, *, counts: bool) -> None:
        """Queue a running job again."""
        if job.is_cancel_requested:
            self.end(job, "cancelled", "cancelled")
            return
        if counts:
            job.attempt += 1
        job.log.append(Said(job.attempt, "queued"))
        job.status, job.is_due, job.has_timed_out = "queued", not counts, False
        self._end_lease(job)

    def grant(self, job: Job, worker_id: str) -> Lease:
        """Lease a job to a worker; an earlier lease of the job ends."""
        self._end_lease(job)
        lease = Lease(job.id, job.attempt, worker_id)
        self.leases.append(lease)
        return lease

    def settle(self, lease: Lease) -> None:
        """Apply what the reaper does with a lease that is not over."""
        job = self.jobs[lease.job_id]
        if job.is_past_grace or (lease.has_expired and job.is_cancel_requested):
            self.end(job, "cancelled", "cancelled")
        elif job.has_timed_out:
            self.end(job, "failed", "timeout")
        elif not lease.has_expired:
            return
        elif not lease.is_confirmed:
            self.give_back(job, counts=False)
        elif job.attempt < job.max_attempts:
            self.give_back(job, counts=True)
        else:
            self.end(job, "failed", "worker_lost")

    def _end_lease(self, job: Job) -> None:
        if (lease := self.live(job.id)) is not None:
            lease.is_over = True
