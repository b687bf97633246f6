"""Cleanup of abandoned uploads, lost objects, wrong byte counts and assets of deleted users."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from functools import partial

from app.assets import cleanup_queries as queries
from app.assets import quota_queries
from app.assets.deletion import retire_objects
from app.assets.object_keys import OBJECT_KEY, split_key
from app.assets.queries import DeletedAsset
from app.database.engine import Database
from app.database.statement import Connection
from app.runtime.cleanup import CleanupReport
from app.storage import BucketName, Journal, KeyListing, Storage

logger = logging.getLogger(__name__)

USERS_AT_ONCE = 100

Delete = Callable[[Connection], Awaitable[list[DeletedAsset]]]


class AssetCleanup:
    """Deletes abandoned assets with their objects, and corrects the byte counts of users.

    Args:
        db: The database.
        storage: The storage.
        upload_ttl: The age at which a pending upload counts as abandoned.
    """

    def __init__(self, db: Database, storage: Storage, *, upload_ttl: timedelta) -> None:
        self._db = db
        self._journal = Journal(db, storage, "assets")
        self._upload_ttl = upload_ttl

    async def count_abandoned(self) -> int:
        """Return the number of abandoned uploads."""
        return await queries.count_abandoned(self._db.pool, older_than=self._upload_ttl)

    async def delete_abandoned(self, limit: int) -> int:
        """Delete at most `limit` abandoned uploads; return their number."""
        older_than = self._upload_ttl
        ids = await queries.abandoned(self._db.pool, older_than=older_than, limit=limit)
        if not ids:
            return 0
        return await self._delete(
            lambda on: queries.delete_abandoned(on, ids, older_than=older_than)
        )

    async def delete_of_user(self, user_id: str, *, limit: int) -> int:
        """Delete at most `limit` assets of a deleted user; return their number."""
        ids = await queries.of_user(self._db.pool, user_id, limit=limit)
        if not ids:
            return 0
        # A folder can be deleted before its contents: a deleted user has no view of either.
        await queries.move_children_to_top(self._db.pool, ids)
        return await self._delete(lambda on: queries.delete(on, ids))

    async def _delete(self, delete: Delete) -> int:
        async with self._db.transaction() as on:
            deleted = await delete(on)
            retired = await retire_objects(on, self._journal, deleted)
        await self._journal.delete(*retired)
        return len(deleted)

    async def correct_totals(self, report: CleanupReport) -> None:
        """Compare the byte counts of users with the sizes of their assets, and correct them."""
        wrong = 0
        after = ""
        while compared := await quota_queries.compare(
            self._db.pool, after=after, limit=USERS_AT_ONCE
        ):
            for counted in compared:
                if not counted.missing:
                    continue
                wrong += 1
                logger.error(
                    "the byte count of user %s is too low by %d", counted.user_id, counted.missing
                )
                if not report.is_dry:
                    await quota_queries.correct(self._db.pool, counted)
            after = max(counted.user_id for counted in compared)
        report.count("wrong byte counts of users", wrong)


class AssetObjects:
    """Objects of assets and thumbnails, for comparing the bucket with the rows."""

    label = "assets"
    bucket: BucketName = "assets"
    key_pattern: re.Pattern[str] = OBJECT_KEY

    def __init__(self, db: Database) -> None:
        self._db = db

    async def known(self, keys: Collection[str]) -> set[str]:
        """Return the keys that belong to the row of an asset or of a thumbnail."""
        return set(await queries.known(self._db.pool, keys))

    async def uploading(self, keys: Collection[str]) -> set[str]:
        """Return the keys whose multipart upload may still be completed."""
        return set(await queries.pending(self._db.pool, keys))

    def listings(self) -> Sequence[KeyListing]:
        """Return functions that list the keys of assets and of thumbnails that must exist."""
        on = self._db.pool
        return [partial(queries.stored, on), partial(queries.stored_thumbnails, on)]

    async def handle_losses(self, keys: Sequence[str]) -> int:
        """Mark assets whose objects are lost as corrupt, and delete the rows of lost thumbnails."""
        for key in keys:
            asset_id, version = split_key(key)
            if await queries.mark_lost(self._db.pool, asset_id, version):
                logger.error("storage has lost the bytes of asset %s", asset_id)
            else:
                await queries.delete_thumbnail(self._db.pool, key)
        return len(keys)
