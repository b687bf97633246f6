"""Verification of the SHA-256 of multipart uploads after their completion.

Due times are stored in the rows, so that any replica can claim the work, also after a crash.
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
    """Computes due checksums and compares them with the declared ones."""

    def __init__(self, db: Database, bucket: Bucket) -> None:
        self._db = db
        self._bucket = bucket

    async def verify_due(self) -> int:
        """Verify the assets that are due, one after the other; return their number.

        Each asset is leased, so that replicas share the work.
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
                # Deleted, replaced or lost; readers of a lost object get ContentMissing.
                await self._delay(asset, RETRY_MISSING)
                continue
            finally:
                renewal.cancel()
            status = await queries.set_sha256(self._db.pool, asset, sha256)
            if status == "corrupt":
                logger.warning(
                    "asset %s does not match its declared SHA-256; the computed one is %s",
                    asset.id,
                    sha256,
                )
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
                logger.warning(
                    "cannot renew the lease for computing the SHA-256 of asset %s: %s",
                    asset.id,
                    exc,
                )
