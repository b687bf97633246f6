"""Deletion of objects whose journal entries are due."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from app.database.engine import Database
from app.runtime.cleanup import CleanupReport
from app.storage import journal_queries as queries
from app.storage.errors import StorageUnavailable
from app.storage.journal_queries import JournalEntry
from app.storage.storage import Storage

logger = logging.getLogger(__name__)


class DueDeletions:
    """Processes the due journal entries of all buckets; replicas share the work by claims."""

    def __init__(self, db: Database, storage: Storage) -> None:
        self._db = db
        self._storage = storage

    async def process(self) -> int:
        """Delete the objects of all due entries; return their number.

        If storage cannot be reached, the other entries are left for the next call.
        """
        done = 0
        while entries := await queries.claim_due(self._db.pool):
            try:
                for bucket, group in groupby(sorted(entries), key=attrgetter("bucket")):
                    done += await self._delete(bucket, list(group))
            except StorageUnavailable:
                logger.warning("storage cannot be reached: due objects will be deleted later")
                break
        return done

    async def clean_up(self, report: CleanupReport) -> None:
        """Delete the objects of all due entries, or count them if the report is dry."""
        due = await queries.count_due(self._db.pool)
        if not report.is_dry:
            due = await self.process()
        report.count("objects whose deletion was due", due)

    async def _delete(self, bucket: str, entries: Sequence[JournalEntry]) -> int:
        objects = self._storage.by_name(bucket)
        for entry in entries:
            if entry.op == "abort":
                await objects.uploads.abort_all(entry.key)
        keys = [entry.key for entry in entries]
        await objects.delete(keys)
        await queries.remove(self._db.pool, bucket, keys)
        return len(keys)
