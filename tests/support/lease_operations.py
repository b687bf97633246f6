"""Operations on the lease model; `apply` returns the response that the service has to give."""

# ruff: noqa: ARG002  # all operations have the same signature

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.support.lease_model import GONE, Answer, Job, Lease, Model, Said


class Op(ABC):
    """Base class of operations."""

    @abstractmethod
    def apply(self, model: Model) -> Answer:
        """Apply the operation to the model; return the response that the service has to give."""


@dataclass(frozen=True)
class Claim(Op):
    """A claim of a worker. `passes_over`: a job that another operation has locked."""

    worker_id: str
    max_jobs: int
    passes_over: str | None = None

    def apply(self, model: Model) -> Answer:
        model.granted = []
        if self.worker_id not in model.workers:
            return GONE
        model.granted = self._again(model) or self._new(model)
        return (200, *sorted((lease.job_id, lease.attempt) for lease in model.granted))

    def _again(self, model: Model) -> list[Lease]:
        unheard = [
            lease
            for lease in model.leases
            if lease.worker_id == self.worker_id
            and not (lease.is_over or lease.has_expired or lease.is_confirmed)
            and lease.job_id != self.passes_over
        ]
        return [
            model.grant(model.jobs[lease.job_id], self.worker_id)
            for lease in unheard[: self.max_jobs]
        ]

    def _new(self, model: Model) -> list[Lease]:
        free = [
            job
            for job in model.jobs.values()
            if job.status == "queued" and job.is_due and job.id != self.passes_over
        ]
        free.sort(key=lambda job: (-job.priority, job.id))
        leases = []
        for job in free[: self.max_jobs]:
            job.status = "running"
            job.log.append(Said(job.attempt, "running"))
            leases.append(model.grant(job, self.worker_id))
        return leases


@dataclass(frozen=True)
class RemoveWorker(Op):
    """The removal of a worker."""

    worker_id: str

    def apply(self, model: Model) -> Answer:
        if self.worker_id not in model.workers:
            return GONE
        model.workers.remove(self.worker_id)
        held = [x for x in model.leases if x.worker_id == self.worker_id and not x.is_over]
        for lease in held:
            model.give_back(model.jobs[lease.job_id], counts=False)
        return (204,)


@dataclass(frozen=True)
class OfLease(Op):
    """Base class of requests with the token of a lease, live or ended."""

    token: str

    def apply(self, model: Model) -> Answer:
        lease = model.lease(self.token)
        job = model.jobs.get(lease.job_id)
        return GONE if job is None else self.said(model, lease, job)

    @abstractmethod
    def said(self, model: Model, lease: Lease, job: Job) -> Answer:
        """Apply the request to an existing job."""

    @staticmethod
    def refusal(lease: Lease, job: Job) -> Answer | None:
        """Return the error of a request whose job or lease has ended, or None."""
        if job.has_ended:
            return (409, "job_ended")
        return (409, "lease_lost") if lease.is_over or lease.has_expired else None


class Heartbeat(OfLease):
    """A heartbeat of a lease."""

    def said(self, model: Model, lease: Lease, job: Job) -> Answer:
        if refusal := self.refusal(lease, job):
            return refusal
        lease.is_confirmed = True
        return (200, job.is_cancel_requested)


class Release(OfLease):
    """The release of a lease."""

    def said(self, model: Model, lease: Lease, job: Job) -> Answer:
        if refusal := self.refusal(lease, job):
            return refusal
        model.give_back(job, counts=False)
        return (204,)


@dataclass(frozen=True)
class Post(OfLease):
    """A batch of events with `client_seq` from `first` on; the last one may end the job.

    `is_shared`: it is sent to the route for the events of many jobs.
    """

    first: int
    count: int
    end: str | None = None
    is_shared: bool = False

    @property
    def last(self) -> int:
        """The last `client_seq`."""
        return self.first + self.count - 1

    def event(self, client_seq: int) -> dict[str, Any]:
        """Return one of the events."""
        numbered = {"client_seq": client_seq}
        if self.end is not None and client_seq == self.last:
            return {**numbered, "type": "job_update", "status": self.end}
        return {**numbered, "type": "log", "level": "info", "message": self.text(client_seq)}

    def text(self, client_seq: int) -> str:
        """Return the text of an event, which differs from those of other leases."""
        return f"{self.token[-8:]} says {client_seq}"

    def said(self, model: Model, lease: Lease, job: Job) -> Answer:
        known = lease.last_client_seq
        refusal = self.refusal(lease, job)
        if self.last <= known and refusal:
            return (200, len(job.log), job.is_cancel_requested)
        if refusal:
            return refusal
        if self.first > known + 1:
            return (409, "client_seq_gap")
        lease.is_confirmed = True
        for client_seq in range(known + 1, self.last + 1):
            lease.last_client_seq = client_seq
            if self.end is not None and client_seq == self.last:
                codes = {"failed": "node_failed", "cancelled": "cancelled", "completed": None}
                model.end(job, self.end, codes[self.end])
            else:
                job.log.append(Said(job.attempt, None, self.text(client_seq)))
        return (200, len(job.log), job.is_cancel_requested)


@dataclass(frozen=True)
class OfJob(Op):
    """Base class of requests of the owner about a job, which may be deleted."""

    job_id: str

    def apply(self, model: Model) -> Answer:
        job = model.jobs.get(self.job_id)
        return GONE if job is None else self.done(model, job)

    @abstractmethod
    def done(self, model: Model, job: Job) -> Answer:
        """Apply the request to an existing job."""


class Cancel(OfJob):
    """The cancellation of a job; its response, which may be newer, is not compared."""

    def done(self, model: Model, job: Job) -> Answer:
        if not job.has_ended:
            job.is_cancel_requested = True
            if job.status == "queued":
                model.end(job, "cancelled", "cancelled")
        return ()


class Delete(OfJob):
    """The deletion of a job."""

    def done(self, model: Model, job: Job) -> Answer:
        if not job.has_ended:
            return (409, "job_not_ended")
        del model.jobs[job.id]
        return (204,)


@dataclass(frozen=True)
class Late(Op):
    """Base class of the end of a time limit, simulated by `statement`."""

    job_id: str

    statement: ClassVar[str]

    def apply(self, model: Model) -> Answer:
        if (job := model.jobs.get(self.job_id)) is not None:
            self.passed(model, job)
        return ()

    @abstractmethod
    def passed(self, model: Model, job: Job) -> None:
        """Apply the end of the limit to an existing job."""


class Expire(Late):
    """The expiry of a lease."""

    statement = """
        update job_leases set expires_at = clock_timestamp() - interval '1 s'
        where job_id = $1 and ended_at is null"""

    def passed(self, model: Model, job: Job) -> None:
        if (lease := model.live(job.id)) is not None:
            lease.has_expired = True


class TimeOut(Late):
    """The timeout of an attempt."""

    statement = """
        update jobs set attempt_started_at = attempt_started_at - interval '1 day'
        where id = $1 and status = 'running'"""

    def passed(self, model: Model, job: Job) -> None:
        job.has_timed_out = job.has_timeout and job.status == "running"


class EndGrace(Late):
    """The end of the grace period of a cancellation."""

    statement = """
        update jobs set cancel_requested_at = cancel_requested_at - interval '1 day'
        where id = $1 and status = 'running'"""

    def passed(self, model: Model, job: Job) -> None:
        job.is_past_grace = job.is_cancel_requested and job.status == "running"


class EndBackOff(Late):
    """The end of the back-off before the next attempt."""

    statement = """
        update jobs set available_at = clock_timestamp() - interval '1 s'
        where id = $1 and status = 'queued'"""

    def passed(self, model: Model, job: Job) -> None:
        job.is_due = True


@dataclass(frozen=True)
class Reap(Op):
    """A run of the reaper. `passes_over`: a job that another operation has locked."""

    passes_over: str | None = None

    def apply(self, model: Model) -> Answer:
        for lease in model.leases:
            if not lease.is_over and lease.job_id != self.passes_over:
                model.settle(lease)
        return ()
