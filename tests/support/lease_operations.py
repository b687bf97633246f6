"""Operations on the lease model: `apply` does one, and returns what the service has to answer."""

# ruff: noqa: ARG002  # each is given all that any of them needs

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.support.lease_model import GONE, Answer, Job, Lease, Model, Said


class Op(ABC):
    """Something that happens."""

    @abstractmethod
    def apply(self, model: Model) -> Answer:
        """Do it to the model; return what the service must answer."""


@dataclass(frozen=True)
class Claim(Op):
    """A worker asks for jobs. `passes_over`: a job that somebody else has locked just then."""

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
    """A worker takes its leave, or is told to."""

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
    """Something that the holder of a lease says, whether it still is one or not."""

    token: str

    def apply(self, model: Model) -> Answer:
        lease = model.lease(self.token)
        job = model.jobs.get(lease.job_id)
        return GONE if job is None else self.said(model, lease, job)

    @abstractmethod
    def said(self, model: Model, lease: Lease, job: Job) -> Answer:
        """Say it about a job that is there."""

    @staticmethod
    def refusal(lease: Lease, job: Job) -> Answer | None:
        """Why nothing new can come of the lease."""
        if job.has_ended:
            return (409, "job_ended")
        return (409, "lease_lost") if lease.is_over or lease.has_expired else None


class Heartbeat(OfLease):
    """It is there."""

    def said(self, model: Model, lease: Lease, job: Job) -> Answer:
        if refusal := self.refusal(lease, job):
            return refusal
        lease.is_confirmed = True
        return (200, job.is_cancel_requested)


class Release(OfLease):
    """It gives the job back."""

    def said(self, model: Model, lease: Lease, job: Job) -> Answer:
        if refusal := self.refusal(lease, job):
            return refusal
        model.give_back(job, counts=False)
        return (204,)


@dataclass(frozen=True)
class Post(OfLease):
    """It posts events with `client_seq` from `first` on; the last one may end the job.

    `is_shared`: by the route that takes the events of many jobs.
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
        """One of the events."""
        numbered = {"client_seq": client_seq}
        if self.end is not None and client_seq == self.last:
            return {**numbered, "type": "job_update", "status": self.end}
        return {**numbered, "type": "log", "level": "info", "message": self.text(client_seq)}

    def text(self, client_seq: int) -> str:
        """What tells an event from those of other leases."""
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
    """Something that the owner does to a job, also to one that he has deleted."""

    job_id: str

    def apply(self, model: Model) -> Answer:
        job = model.jobs.get(self.job_id)
        return GONE if job is None else self.done(model, job)

    @abstractmethod
    def done(self, model: Model, job: Job) -> Answer:
        """Do it to a job that is there."""


class Cancel(OfJob):
    """He wants no more of it. What he is answered may tell of what came after."""

    def done(self, model: Model, job: Job) -> Answer:
        if not job.has_ended:
            job.is_cancel_requested = True
            if job.status == "queued":
                model.end(job, "cancelled", "cancelled")
        return ()


class Delete(OfJob):
    """He forgets it."""

    def done(self, model: Model, job: Job) -> Answer:
        if not job.has_ended:
            return (409, "job_not_ended")
        del model.jobs[job.id]
        return (204,)


@dataclass(frozen=True)
class Late(Op):
    """Something runs out, which PostgreSQL's clock alone knows."""

    job_id: str

    statement: ClassVar[str]

    def apply(self, model: Model) -> Answer:
        if (job := model.jobs.get(self.job_id)) is not None:
            self.passed(model, job)
        return ()

    @abstractmethod
    def passed(self, model: Model, job: Job) -> None:
        """Let it run out for a job that is there."""


class Expire(Late):
    """The time of its lease."""

    statement = """
        update job_leases set expires_at = clock_timestamp() - interval '1 s'
        where job_id = $1 and ended_at is null"""

    def passed(self, model: Model, job: Job) -> None:
        if (lease := model.live(job.id)) is not None:
            lease.has_expired = True


class TimeOut(Late):
    """The time of its attempt."""

    statement = """
        update jobs set attempt_started_at = attempt_started_at - interval '1 day'
        where id = $1 and status = 'running'"""

    def passed(self, model: Model, job: Job) -> None:
        job.has_timed_out = job.has_timeout and job.status == "running"


class EndGrace(Late):
    """The time in which its worker could answer the cancel."""

    statement = """
        update jobs set cancel_requested_at = cancel_requested_at - interval '1 day'
        where id = $1 and status = 'running'"""

    def passed(self, model: Model, job: Job) -> None:
        job.is_past_grace = job.is_cancel_requested and job.status == "running"


class EndBackOff(Late):
    """The time that it waits for its next attempt."""

    statement = """
        update jobs set available_at = clock_timestamp() - interval '1 s'
        where id = $1 and status = 'queued'"""

    def passed(self, model: Model, job: Job) -> None:
        job.is_due = True


@dataclass(frozen=True)
class Reap(Op):
    """A replica looks for what is overdue. `passes_over`: a job that is locked just then."""

    passes_over: str | None = None

    def apply(self, model: Model) -> Answer:
        for lease in model.leases:
            if not lease.is_over and lease.job_id != self.passes_over:
                model.settle(lease)
        return ()
