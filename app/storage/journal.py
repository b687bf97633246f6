"""Journal of operations on objects, so that a crash leaves neither orphans nor missing objects.

A `put` entry is committed before the transfer and removed in the transaction that inserts the row:
while it exists, no row names the object. A `delete` entry is inserted in the transaction that
deletes the row, and removed when the object has been deleted; an `abort` entry also aborts the
multipart uploads of its key. Any replica processes the entries that are due (`due_deletions.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from types import MappingProxyType

from app.database.engine import Database
from app.database.errors import is_database_away
from app.database.statement import Connection
from app.storage import journal_queries as queries
from app.storage.errors import StorageUnavailable, UploadInterrupted
from app.storage.storage import BucketName, Storage

logger = logging.getLogger(__name__)

RENEW_S = 60


class Journal:
    """Journal of one bucket."""

    def __init__(self, db: Database, storage: Storage, bucket: BucketName) -> None:
        self._db = db
        self._bucket = bucket
        self._objects = storage.by_name(bucket)

    @asynccontextmanager
    async def putting(self, *keys: str) -> AsyncIterator[None]:
        """Keep `put` entries for objects while the block puts them and inserts their rows.

        The block calls `finish` in the transaction that inserts the rows, and `discard` for objects
        that get no row. If the block fails, the objects are deleted: immediately, or when their
        entries are due.
        """
        await queries.begin(self._db.pool, self._bucket, keys)
        renewal = asyncio.create_task(self._renew(keys))
        try:
            yield
        except StorageUnavailable:
            # The put may still succeed; the entry is due when no request of it can be running.
            raise
        except Exception as exc:
            # The transaction may have been committed although the connection was lost.
            if not is_database_away(exc):
                await asyncio.shield(self.discard(keys))
            raise
        finally:
            renewal.cancel()

    async def finish(self, on: Connection, key: str) -> None:
        """Remove a `put` entry in the transaction that inserts the row.

        Raises:
            UploadInterrupted: The entry became due, and the object was deleted.
        """
        if not await self.finish_all(on, [key]):
            raise UploadInterrupted

    async def finish_all(self, on: Connection, keys: Sequence[str]) -> set[str]:
        """Remove `put` entries; return the keys of those that had not become due."""
        return set(await queries.finish(on, self._bucket, keys))

    async def discard(self, keys: Sequence[str]) -> None:
        """Delete objects that have a `put` entry; objects with a row are not deleted."""
        try:
            discarded = await queries.discard(self._db.pool, self._bucket, keys)
        except Exception as exc:
            if not is_database_away(exc):
                raise
            logger.warning("discarded objects will be deleted later: %s", exc)
            return
        if discarded:
            await self.delete(discarded)

    async def retire(
        self,
        on: Connection,
        keys: Sequence[str],
        put_until: Sequence[datetime | None],
        uploads: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Insert `delete` entries in the transaction that deletes the rows of objects.

        Args:
            on: The transaction.
            keys: The keys of the objects.
            put_until: The expiry of the last presigned URL to put each object.
            uploads: The ids of unfinished multipart uploads, by key.
        """
        await queries.retire(on, self._bucket, keys, put_until=put_until, unfinished=list(uploads))

    async def delete(
        self, keys: Sequence[str], uploads: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Delete retired objects and uploads after the commit; failures are retried when due."""
        try:
            for key in keys:
                if key in uploads:
                    await self._objects.uploads.abort(key, uploads[key])
            await self._objects.delete(keys)
            await queries.remove_final(self._db.pool, self._bucket, keys)
        except StorageUnavailable:
            logger.warning("%d objects will be deleted later", len(keys))
        except Exception as exc:
            if not is_database_away(exc):
                raise
            logger.warning("%d objects will be deleted again: %s", len(keys), exc)

    async def known(self, keys: Collection[str]) -> set[str]:
        """Return the keys that have an entry."""
        return set(await queries.known(self._db.pool, self._bucket, keys))

    async def uploading(self, keys: Collection[str]) -> set[str]:
        """Return the keys that have a `put` entry."""
        return set(await queries.uploading(self._db.pool, self._bucket, keys))

    async def _renew(self, keys: Sequence[str]) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await queries.renew(self._db.pool, self._bucket, keys)
            except Exception as exc:
                if not is_database_away(exc):
                    raise
                logger.warning("cannot renew the journal entries of an upload: %s", exc)
