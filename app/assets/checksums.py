"""SHA-256 of multipart uploads, computed after they are complete.

Due work is recorded in the rows, so that any replica does it, and another one after a crash.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from app.assets import background_queries as queries
from app.assets.background_queries import UncheckedAsset
from app.assets.object_keys import key_of
from app.database.engine import Database
from app.database.errors import is_database_away
from app.storage import Bucket, ObjectMissing, StorageUnavailable

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
RENEW_S = 20
RETRY = timedelta(seconds=10)
RETRY_MISSING = timedelta(hours=1)


class Checksums:
    """Computes checksums that are due, and compares them with those that were declared."""

    def __init__(self, db: Database, bucket: Bucket) -> None:
        self._db = db
        self._bucket = bucket

    async def verify_due(self) -> int:
        """Verify the assets that are due, one after the other; return how many.

        Replicas share the work.
        """
        done = 0
        while (asset := await queries.claim_sha256(self._db.pool, LEASE)) is not None:
            renewal = asyncio.create_task(self._renew(asset))
            try:
                sha256 = await self._bucket.sha256(key_of(asset))
            except StorageUnavailable:
                await self._delay(asset, RETRY)
                break
            except ObjectMissing:
                # Deleted or replaced meanwhile, or lost, which a reader learns.
                await self._delay(asset, RETRY_MISSING)
                continue
            finally:
                renewal.cancel()
            status = await queries.set_sha256(self._db.pool, asset, sha256)
            if status == "corrupt":
                logger.warning("asset %s has another SHA-256 than declared: %s", asset.id, sha256)
            done += 1
        return done

    async def _delay(self, asset: UncheckedAsset, delay: timedelta) -> None:
        await queries.delay_sha256(self._db.pool, asset, delay)

    async def _renew(self, asset: UncheckedAsset) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self._delay(asset, LEASE)
            except Exception as exc:
                if not is_database_away(exc):
                    raise
                logger.warning("the check of a SHA-256 was not renewed: %s", exc)
