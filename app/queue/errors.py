"""Problems of requests about leases and the jobs that they are for."""

from __future__ import annotations

from app.http.problems import Conflict, NotFound


class JobNotFound(NotFound):
    """The job does not exist, or it is another user's."""

    code = "job_not_found"
    detail = "There is no such job."


class JobEnded(Conflict):
    """The job has ended; nothing can be added to it."""

    code = "job_ended"
    detail = "The job has ended."


class LeaseLost(Conflict):
    """The lease is over; another worker has the job or will get it."""

    code = "lease_lost"
    detail = "The lease of this job is over: stop working on it."


class ClientSeqGap(Conflict):
    """The events before these were never stored."""

    code = "client_seq_gap"
    detail = "A client_seq was left out: send the events before these first."
