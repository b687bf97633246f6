"""Lanes of the queue: their floors keep claims from reading jobs that are no longer queued.

While any old transaction is open, in a backup or a report, PostgreSQL keeps the index entries of
all rows that have left the queue since. A claim would read them all, so it starts at the floor of a
lane. Floors follow the work: each replica raises those of a user after some leases.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence

from app.database.engine import Database
from app.queue import lane_queries
from app.runtime import metrics

logger = logging.getLogger(__name__)

RAISE_AFTER = 500
"""Leases of a user after which a replica raises the user's floors.

A claim reads as many dead index entries; each time, a row of a lane gets a new version.
"""

SLOW_PAUSE_S = 1


class QueueLanes:
    """Maintains the lanes of the queue; the trigger `queue_job` inserts them."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._leased: Counter[str] = Counter()
        self._slow_until = 0.0

    def record_leased(self, user_ids: Sequence[str]) -> None:
        """Count jobs that left the queue."""
        self._leased.update(user_ids)

    def record_slow(self, user_ids: Sequence[str]) -> None:
        """Let the floors of users be raised, whose claim was slow; at most once in a while."""
        now = time.monotonic()
        if now >= self._slow_until:
            self._slow_until = now + SLOW_PAUSE_S
            self._leased.update(dict.fromkeys(user_ids, RAISE_AFTER))

    async def raise_due(self) -> None:
        """Raise the floors of the users who had many jobs leased, or whose claims were slow."""
        due = [user_id for user_id, count in self._leased.items() if count >= RAISE_AFTER]
        if due:
            for user_id in due:
                del self._leased[user_id]
            await self._raise(due)

    async def sweep(self) -> None:
        """Raise all floors, delete unused lanes, and insert those that are missing.

        One replica does it at a time. Missing lanes are a defect, or the work of a trigger that was
        disabled.
        """
        await self._raise(None)
        async with self._db.transaction() as on:
            if not await lane_queries.try_sweep_lock(on):
                return
            if missed := await lane_queries.missed(on):
                metrics.QUEUE_FLOOR_MISSES.inc(len(missed))
                logger.warning("%d lanes of the queue were missing", len(missed))
                await lane_queries.insert(on, missed)
            await lane_queries.delete_unused(on)

    async def _raise(self, user_ids: Sequence[str] | None) -> None:
        limit = await lane_queries.read_limit(self._db.pool)
        async with self._db.transaction() as on:
            if lane_ids := await lane_queries.lock(on, user_ids):
                await lane_queries.raise_floors(on, lane_ids, limit=limit)
