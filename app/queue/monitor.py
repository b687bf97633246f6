"""Measurement of the queue for `/metrics`."""

from __future__ import annotations

from app.database.engine import Database
from app.queue import monitor_queries
from app.runtime import metrics


class QueueMonitor:
    """Sets the gauges about the queue, which are the same on every replica."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def measure(self) -> None:
        """Measure the queue, and the age of the oldest transaction, which can slow it down."""
        depth = await monitor_queries.depth(self._db.pool)
        metrics.QUEUED_JOBS.labels("due").set(depth.due)
        metrics.QUEUED_JOBS.labels("delayed").set(depth.delayed)
        metrics.OLDEST_QUEUED_JOB.set(depth.oldest_s)
        metrics.OLDEST_TRANSACTION.set(await monitor_queries.oldest_transaction_s(self._db.pool))
