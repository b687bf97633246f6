"""Problems of requests about jobs."""

from __future__ import annotations

from app.http.problems import BadRequest, Conflict, Forbidden, Invalid


class JobNotEnded(Conflict):
    """Only a job that has ended can be deleted."""

    code = "job_not_ended"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Job {job_id} has not ended: cancel it first.")


class NotOwnChild(Forbidden):
    """The token of a job cancels only the jobs that the job started."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"Job {job_id} was not started by the job of this token: use a user's token to cancel "
            "it."
        )


class JobNotRetryable(Conflict):
    """Only a failed or cancelled job can be retried."""

    code = "job_not_retryable"

    def __init__(self, job_id: str, status: str) -> None:
        super().__init__(
            f"Job {job_id} is {status}; only a failed or cancelled job can be retried."
        )


class TooDeep(Invalid):
    """The child job would be nested too deeply."""

    code = "too_deep"
    detail = "The job would have more than 8 ancestors: child jobs are nested 8 deep at most."


class BadLastEventId(BadRequest):
    """`Last-Event-ID` is not a `seq`."""

    code = "invalid_last_event_id"
    detail = "Last-Event-ID must be an integer: the `id` of the last event received."
