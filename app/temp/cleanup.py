"""Cleanup of temporary files: expired ones, and those of deleted users."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from functools import partial

from app.database.engine import Database
from app.database.statement import Connection
from app.runtime.cleanup import BATCH, CleanupReport
from app.storage import BucketName, Journal, KeyListing, Storage
from app.temp import queries
from app.temp.queries import DeletedTemp
from app.temp.service import TEMP_ID, JobEnds

Delete = Callable[[Connection, Sequence[str]], Awaitable[list[DeletedTemp]]]


class TempCleanup:
    """Deletes temporary files and their objects."""

    def __init__(self, db: Database, storage: Storage) -> None:
        self._db = db
        self._journal = Journal(db, storage, "temp")

    async def count_expired(self) -> int:
        """Return the number of expired files."""
        return await queries.count_expired(self._db.pool)

    async def delete_expired(self, limit: int) -> int:
        """Delete at most `limit` expired files; return their number."""
        ids = await queries.expired(self._db.pool, limit=limit)
        return await self._delete(ids, queries.delete_expired)

    async def delete_of_user(self, user_id: str, *, limit: int) -> int:
        """Delete at most `limit` files of a user; return their number."""
        return await self.delete(await queries.of_user(self._db.pool, user_id, limit=limit))

    async def delete(self, ids: Sequence[str]) -> int:
        """Delete files, expired or not; return their number."""
        return await self._delete(ids, queries.delete_all)

    async def _delete(self, ids: Sequence[str], delete: Delete) -> int:
        if not ids:
            return 0
        async with self._db.transaction() as on:
            deleted = await delete(on, ids)
            keys = [file.id for file in deleted]
            await self._journal.retire(on, keys, [file.put_until for file in deleted])
        await self._journal.delete(keys)
        return len(keys)


class JobFilesCleanup:
    """Extends the expiry of files of jobs that are unfinished, or ended after the files were made.

    Args:
        db: The database.
        job_ends: Returns the ends of jobs.
        ttl: The lifetime of files after the end of their job.
        margin: The time before the expiry of a file in which it is extended; longer than the
            interval between cleanups.
    """

    def __init__(
        self, db: Database, job_ends: JobEnds, *, ttl: timedelta, margin: timedelta
    ) -> None:
        self._db = db
        self._job_ends = job_ends
        self._ttl = ttl
        self._margin = margin

    async def clean_up(self, report: CleanupReport) -> None:
        """Extend the files that expire soon."""
        extend = queries.count_extensions if report.is_dry else queries.extend
        kept, after = 0, ""
        while files := await queries.of_jobs(
            self._db.pool, after=after, margin=self._margin, limit=BATCH
        ):
            ends = await self._job_ends({file.job_id for file in files})
            ids = [file.id for file in files]
            kept += await extend(self._db.pool, ids, ends, ttl=self._ttl)
            after = files[-1].id
        report.count("temporary files kept for their jobs", kept)


class TempObjects:
    """Objects of temporary files, for comparing the bucket with the rows."""

    label = "temporary files"
    bucket: BucketName = "temp"
    key_pattern: re.Pattern[str] = TEMP_ID

    def __init__(self, db: Database, storage: Storage) -> None:
        self._db = db
        self._cleanup = TempCleanup(db, storage)

    async def known(self, keys: Collection[str]) -> set[str]:
        """Return the keys that belong to a row."""
        return set(await queries.known(self._db.pool, keys))

    async def uploading(self, keys: Collection[str]) -> set[str]:  # noqa: ARG002
        """Return no keys: temporary files are not uploaded in parts by callers."""
        return set()

    def listings(self) -> Sequence[KeyListing]:
        """Return a function that lists the keys that must exist."""
        return [partial(queries.stored, self._db.pool)]

    async def handle_losses(self, keys: Sequence[str]) -> int:
        """Delete the rows of lost objects; return their number."""
        return await self._cleanup.delete(keys)
