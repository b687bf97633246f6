"""Problems of requests about leases and the jobs that they are for."""

from __future__ import annotations

from app.http.problems import Conflict, NotFound, ObjectNotFound


class JobNotFound(ObjectNotFound):
    """The job does not exist, or belongs to another user or lease."""

    code = "job_not_found"
    noun = "Job"


class JobDeleted(NotFound):
    """The job was deleted while a client was subscribed to its events."""

    code = JobNotFound.code

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Job {job_id} was deleted.")


class JobEnded(Conflict):
    """The job has ended; nothing can be added to it."""

    code = "job_ended"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Job {job_id} has ended.")


class ParentEnded(Conflict):
    """The job cannot start child jobs, since it has ended or is being cancelled."""

    code = JobEnded.code

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Parent job {job_id} has ended or is being cancelled.")


class LeaseLost(Conflict):
    """The lease has ended or expired; the job is or will be leased to another worker."""

    code = "lease_lost"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"The lease of job {job_id} has ended or expired: stop working on it.")


class ClientSeqGap(Conflict):
    """Earlier events of the lease are missing."""

    code = "client_seq_gap"

    def __init__(self, *, stored: int, first: int) -> None:
        super().__init__(
            f"Events are missing: the last stored client_seq is {stored}, the first one here is "
            f"{first}. Send the missing events first."
        )
