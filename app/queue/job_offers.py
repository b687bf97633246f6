"""Offers of new jobs to waiting claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from app.events.envelope import LogBatch
from app.events.job_queries import JobRecord
from app.http.auth import JOB_PREFIX, hash_token, new_token
from app.queue.enqueue_queries import InsertedJob
from app.queue.leased_job import LeasedJob
from app.queue.new_job import NewJob, OfferedJob
from app.queue.status_events import QUEUED, RUNNING
from app.queue.waiting_claims import JobRequirements, PendingClaim, WaitingClaims


class EnqueuedJob(NamedTuple):
    """An enqueued job, as a queued record.

    `starts_soon`: a worker can run it, and the user is below the limit of running jobs.
    """

    record: JobRecord
    starts_soon: bool


class JobOffers:
    """New jobs, and the waiting claims that are reserved for them.

    Each job is offered to a different claim while there are any, to spread jobs over idle workers.
    """

    def __init__(self, waiting_claims: WaitingClaims | None, jobs: Sequence[NewJob]) -> None:
        self.inserted: Sequence[InsertedJob] = ()
        self._reserved: dict[PendingClaim, int] = {}
        self._claims = [self._reserve(waiting_claims, job) for job in jobs]
        self._tokens = [new_token(JOB_PREFIX) if claim else "" for claim in self._claims]
        self.offered = [
            OfferedJob(job)
            if claim is None
            else OfferedJob(job, claim.claimant.id, hash_token(token))
            for job, claim, token in zip(jobs, self._claims, self._tokens, strict=True)
        ]

    def enqueued(self) -> list[EnqueuedJob]:
        """Return the jobs that were inserted."""
        return [
            EnqueuedJob(offer.job.record(inserted.now), inserted.can_run and inserted.has_room)
            for offer, inserted in zip(self.offered, self.inserted, strict=True)
        ]

    def first_events(self) -> list[LogBatch]:
        """Return the first events of the jobs that were inserted."""
        return [
            _first_events(offer.job, inserted)
            for offer, inserted in zip(self.offered, self.inserted, strict=True)
        ]

    def leased_users(self) -> list[str]:
        """Return the user of each job that was leased."""
        return [
            offer.job.user_id
            for offer, inserted in zip(self.offered, self.inserted, strict=True)
            if inserted.is_leased
        ]

    def hand_over(self) -> list[JobRequirements]:
        """Hand leased jobs to their claims; return the requirements of jobs that can be claimed."""
        queued = []
        for offer, inserted, claim, token in zip(
            self.offered, self.inserted, self._claims, self._tokens, strict=True
        ):
            run_at = offer.job.spec.run_at
            if inserted.is_leased and claim is not None and inserted.expires_at is not None:
                claim.leased.append(
                    LeasedJob(token, _running(offer, inserted), inserted.expires_at)
                )
            elif run_at is None or run_at <= inserted.now:
                queued.append(offer.job.requirements)
        return queued

    def release(self) -> None:
        """Notify the reserved claims: those with a job return it, the others poll the queue."""
        for claim in self._reserved:
            claim.notify()

    def _reserve(self, waiting_claims: WaitingClaims | None, job: NewJob) -> PendingClaim | None:
        if waiting_claims is None or job.spec.run_at is not None:
            return None
        requirements = job.requirements
        claim = waiting_claims.reserve(requirements) or next(
            (
                claim
                for claim, count in self._reserved.items()
                if count < claim.max_jobs and claim.can_run(requirements)
            ),
            None,
        )
        if claim is not None:
            self._reserved[claim] = self._reserved.get(claim, 0) + 1
        return claim


def _running(offer: OfferedJob, inserted: InsertedJob) -> JobRecord:
    return offer.job.record(inserted.now)._replace(
        status="running", worker_id=offer.worker_id, started_at=inserted.now, last_seq=2
    )


def _first_events(job: NewJob, inserted: InsertedJob) -> LogBatch:
    return LogBatch(
        job.id,
        job.user_id,
        [QUEUED, RUNNING] if inserted.is_leased else [QUEUED],
        after=0,
        attempt=1,
        time=inserted.now,
        traceparent=job.traceparent,
    )
