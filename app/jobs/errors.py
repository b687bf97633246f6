"""What can be wrong with a request about jobs."""

from __future__ import annotations

from app.http.problems import Conflict, Invalid, NotFound, TooLarge


class JobNotFound(NotFound):
    """No such job, or not the caller's."""

    code = "job_not_found"
    detail = "There is no such job."


class JobNotEnded(Conflict):
    """Only a job that has ended can be deleted."""

    code = "job_not_ended"
    detail = "The job has not ended: cancel it first."


class JobNotRetryable(Conflict):
    """Only a failed or cancelled job runs again."""

    code = "job_not_retryable"
    detail = "Only a failed or cancelled job can run again."


class JobEnded(Conflict):
    """The job has ended; nothing can be added to it."""

    code = "job_ended"
    detail = "The job has ended."


class LeaseLost(Conflict):
    """The lease is over; another worker has the job, or will."""

    code = "lease_lost"
    detail = "The lease of this job is over: stop working on it."


class ClientSeqGap(Conflict):
    """Events before these are missing."""

    code = "client_seq_gap"
    detail = "A client_seq was left out: send the events before these first."


class EventTooLarge(TooLarge):
    """One event is over the limit."""

    code = "event_too_large"


class TooDeep(Invalid):
    """A child of a child of a child, and so on."""

    code = "too_deep"
    detail = "Child jobs can be 8 deep at most."
