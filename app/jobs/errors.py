"""Problems of requests about jobs."""

from __future__ import annotations

from app.http.problems import BadRequest, Conflict, Invalid


class JobNotEnded(Conflict):
    """Only a job that has ended can be deleted."""

    code = "job_not_ended"
    detail = "The job has not ended: cancel it first."


class JobNotRetryable(Conflict):
    """Only a failed or cancelled job can run again."""

    code = "job_not_retryable"
    detail = "Only a failed or cancelled job can run again."


class TooDeep(Invalid):
    """The child job would be nested too deeply."""

    code = "too_deep"
    detail = "Child jobs can be 8 deep at most."


class BadLastEventId(BadRequest):
    """`Last-Event-ID` is not a `seq`."""

    code = "invalid_last_event_id"
    detail = "Last-Event-ID is the `id` of the last event seen: a whole number."
