"""Cancellation of jobs by their users, and by jobs that started them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.database.statement import Connection
from app.http.auth import Principal
from app.jobs.errors import NotOwnChild
from app.queue import job_queries
from app.queue.errors import JobNotFound
from app.queue.job_queries import LockedJob
from app.queue.transitions import JobTransactions
from app.runtime.ids import is_id

BATCH = 50
"""Jobs that one transaction cancels: it holds the locks of all of them."""


class JobCancellation:
    """Cancels jobs; the token of a job cancels only the children of that job."""

    def __init__(self, transactions: JobTransactions) -> None:
        self._transactions = transactions

    async def cancel(self, principal: Principal, job_id: str) -> None:
        """Cancel a job; an ended job does not change.

        Raises:
            JobNotFound: It does not exist or belongs to another user.
            NotOwnChild: The token is that of a job, which did not start this one.
        """
        async with self._transactions.begin() as transaction:
            job = await _lock(transaction.connection, principal, job_id)
            if job is None:
                raise JobNotFound(job_id)
            if not _may_cancel(principal, job):
                raise NotOwnChild(job_id)
            await transaction.cancel(job)

    async def cancel_all(self, principal: Principal, job_ids: Sequence[str]) -> list[str]:
        """Cancel jobs; jobs that the token may not cancel, and ended ones, do not change.

        Returns:
            The ids of the jobs that are cancelled now, or whose workers learn of it.
        """
        cancelled: set[str] = set()
        # In the order of ids, so parents before children: the lock order of all transactions.
        for batch in _batches(sorted({job_id for job_id in job_ids if is_id(job_id)})):
            async with self._transactions.begin() as transaction:
                for job_id in batch:
                    job = await _lock(transaction.connection, principal, job_id)
                    if job is not None and _may_cancel(principal, job):
                        await transaction.cancel(job)
                        if job.status in ("queued", "running", "cancelled"):
                            cancelled.add(job_id)
        return [job_id for job_id in dict.fromkeys(job_ids) if job_id in cancelled]


async def _lock(on: Connection, principal: Principal, job_id: str) -> LockedJob | None:
    return await job_queries.lock(on, job_id, user_id=principal.user_id)


def _may_cancel(principal: Principal, job: LockedJob) -> bool:
    return principal.job_id is None or job.parent_job_id == principal.job_id


def _batches(job_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(job_ids), BATCH):
        yield job_ids[start : start + BATCH]
