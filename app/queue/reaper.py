"""Ends what nobody else will: leases that ran out, attempts over time, cancels nobody answered.

Every replica runs it; rows that another one has locked are left to that one.
"""

from __future__ import annotations

import asyncpg

from app.queue import lease_queries
from app.queue.transitions import CANCELLED, Ledger, Ledgers
from app.runtime import metrics

INTERVAL_S = 0.5
BATCH = 50
MAX_BACK_OFF_S = 60


def back_off_s(attempt: int) -> float:
    """Return how long a job waits after its `attempt`th attempt was lost: 1, 2, 4 … 60 s."""
    return min(2.0 ** (attempt - 1), MAX_BACK_OFF_S)


class Reaper:
    """Looks for overdue leases."""

    def __init__(self, ledgers: Ledgers, *, cancel_grace_s: float) -> None:
        self._ledgers = ledgers
        self._cancel_grace_s = cancel_grace_s

    async def run(self) -> None:
        """End what is overdue, in small transactions."""
        while True:
            async with self._ledgers.open() as ledger:
                rows = await lease_queries.overdue(
                    ledger.connection, cancel_grace_s=self._cancel_grace_s, limit=BATCH
                )
                for row in rows:
                    await _settle(ledger, row)
            if len(rows) < BATCH:
                return


async def _settle(ledger: Ledger, row: asyncpg.Record) -> None:
    has_expired: bool = row["has_expired"]
    if has_expired:
        metrics.LEASES_LOST.inc()
    if row["is_past_grace"] or (has_expired and row["cancel_requested_at"] is not None):
        await ledger.end(row, "cancelled", error=CANCELLED)
    elif row["has_timed_out"]:
        message = f"The attempt took longer than {row['timeout_s']:g} s."
        await ledger.end(row, "failed", error={"code": "timeout", "message": message})
    elif not has_expired:
        return
    elif row["confirmed_at"] is None:
        await ledger.give_back(row, "The worker never answered.", counts=False)
    elif row["attempt"] < row["max_attempts"]:
        delay_s = back_off_s(row["attempt"])
        await ledger.give_back(
            row,
            f"The worker was lost; next attempt in {delay_s:g} s.",
            counts=True,
            delay_s=delay_s,
        )
    else:
        message = f"The worker was lost in attempt {row['attempt']} of {row['max_attempts']}."
        await ledger.end(row, "failed", error={"code": "worker_lost", "message": message})
