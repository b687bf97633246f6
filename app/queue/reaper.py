"""Reaper: ends expired leases, timed-out attempts, and cancelled jobs past the grace period.

Every replica runs a reaper, which skips rows that another one has locked.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.queue import lease_queries
from app.queue.lease_queries import OverdueLease
from app.queue.transitions import CANCELLED, JobTransaction, JobTransactions
from app.runtime import metrics

BATCH = 50
MAX_UNANSWERED = 3
"""Leases of a job that may run out without a sign of their workers and do not count as attempts.

More of them count: the job may end the worker's process before that can send anything.
"""


@dataclass(frozen=True, slots=True)
class BackOff:
    """Exponential back-off before the next attempt of a job whose worker was lost."""

    first_s: float
    max_s: float

    def delay_s(self, attempt: int) -> float:
        """Return the delay after the given attempt, counted from 1."""
        return min(self.first_s * 2.0 ** (attempt - 1), self.max_s)


BACK_OFF = BackOff(first_s=1, max_s=60)


class Reaper:
    """Ends overdue leases."""

    def __init__(
        self, transactions: JobTransactions, *, cancel_grace_s: float, back_off: BackOff
    ) -> None:
        self._transactions = transactions
        self._cancel_grace_s = cancel_grace_s
        self._back_off = back_off

    async def run(self) -> None:
        """End all overdue leases, in small transactions."""
        while True:
            async with self._transactions.begin() as transaction:
                overdue = await lease_queries.lock_overdue(
                    transaction.connection, cancel_grace_s=self._cancel_grace_s, limit=BATCH
                )
                for each in overdue:
                    await self._end(transaction, each)
            if len(overdue) < BATCH:
                return

    async def _end(self, transaction: JobTransaction, overdue: OverdueLease) -> None:
        lease, job = overdue.lease, overdue.lease.job
        if overdue.has_expired:
            metrics.LEASES_LOST.inc()
        is_cancelled = job.cancel_requested_at is not None
        if overdue.is_past_grace or (overdue.has_expired and is_cancelled):
            await transaction.end(job, "cancelled", error=CANCELLED)
        elif overdue.has_timed_out:
            message = f"The attempt took longer than {overdue.timeout_s:g} s."
            await transaction.end(job, "failed", error={"code": "timeout", "message": message})
        elif not overdue.has_expired:
            return
        elif lease.confirmed_at is None and job.unanswered_leases < MAX_UNANSWERED:
            message = "The worker never answered."
            await transaction.requeue(job, message, counts=False, was_unanswered=True)
        elif job.attempt < job.max_attempts:
            delay_s = self._back_off.delay_s(job.attempt)
            message = f"The worker was lost; next attempt in {delay_s:g} s."
            await transaction.requeue(job, message, counts=True, delay_s=delay_s)
        else:
            message = f"The worker was lost in attempt {job.attempt} of {job.max_attempts}."
            await transaction.end(job, "failed", error={"code": "worker_lost", "message": message})
