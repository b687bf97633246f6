"""Journal of operations on objects, so that a crash leaves neither orphans nor missing objects.

A `put` entry is committed before the transfer and removed in the transaction that makes the row:
while it exists, no row names the object. A `delete` entry is made in the transaction that removes
the row, and removed once the object is deleted; an `abort` entry also ends the multipart uploads of
its key. Any replica processes the entries that are due (`due_deletions.py`).
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
    """The journal of one bucket."""

    def __init__(self, db: Database, storage: Storage, bucket: BucketName) -> None:
        self._db = db
        self._bucket = bucket
        self._objects = storage.by_name(bucket)

    @asynccontextmanager
    async def putting(self, *keys: str) -> AsyncIterator[None]:
        """Announce objects; the block puts them and makes the rows that name them, with `finish`.

        When the block fails they are deleted, now or, if storage is away too, later; a block that
        leaves out some of them says so with `discard`.
        """
        await queries.begin(self._db.pool, self._bucket, keys)
        renewal = asyncio.create_task(self._renew(keys))
        try:
            yield
        except StorageUnavailable:
            # It may still arrive: the entry falls due when no request of this service is alive.
            raise
        except Exception as exc:
            # A commit whose reply was lost may have made the row.
            if not is_database_away(exc):
                await asyncio.shield(self.discard(keys))
            raise
        finally:
            renewal.cancel()

    async def finish(self, on: Connection, key: str) -> None:
        """Remove one announcement, in the transaction that makes the row.

        Raises:
            StorageUnavailable: It fell due meanwhile, and the object was deleted.
        """
        if not await self.finish_all(on, [key]):
            raise UploadInterrupted

    async def finish_all(self, on: Connection, keys: Sequence[str]) -> set[str]:
        """Remove announcements; return the keys of those that had not fallen due meanwhile."""
        return set(await queries.finish(on, self._bucket, keys))

    async def discard(self, keys: Sequence[str]) -> None:
        """Delete announced objects; those that have a row by now stay."""
        try:
            discarded = await queries.discard(self._db.pool, self._bucket, keys)
        except Exception as exc:
            if not is_database_away(exc):
                raise
            logger.warning("an object that is not needed will be deleted later: %s", exc)
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
        """Decide to delete objects, in the transaction that removes the rows which name them.

        Args:
            on: The transaction.
            keys: The objects.
            put_until: For each the expiry of the last URL to put it.
            uploads: The ids of their unfinished multipart uploads, by key.
        """
        await queries.retire(on, self._bucket, keys, put_until=put_until, unfinished=list(uploads))

    async def delete(
        self, keys: Sequence[str], uploads: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Delete retired objects and uploads after the commit; what fails now is done later."""
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
        """Return those of the keys that have an entry."""
        return set(await queries.known(self._db.pool, self._bucket, keys))

    async def uploading(self, keys: Collection[str]) -> set[str]:
        """Return those of the keys that are being put."""
        return set(await queries.uploading(self._db.pool, self._bucket, keys))

    async def _renew(self, keys: Sequence[str]) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await queries.renew(self._db.pool, self._bucket, keys)
            except Exception as exc:
                if not is_database_away(exc):
                    raise
                logger.warning("the journal of an upload was not renewed: %s", exc)
