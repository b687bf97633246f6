"""Parts and completion of multipart uploads by presigned URLs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from app.assets import queries
from app.assets.errors import AssetNotFound, UploadEnded, UploadExpired, UploadIncomplete
from app.assets.object_keys import key_of
from app.assets.part_plan import PartPlan
from app.assets.queries import AssetRecord
from app.database.engine import Database
from app.storage import Bucket, ObjectMissing, Part, Refused
from processing_context.wire.assets import CompletedPart

logger = logging.getLogger(__name__)

COMPLETION = timedelta(minutes=15)
"""Upper bound for a completion in storage.

If the asset is deleted meanwhile, its journal entry outlives the completion, so that the object is
deleted.
"""


class AssetParts:
    """Reads and completes the parts of multipart uploads of pending assets."""

    def __init__(self, db: Database, bucket: Bucket) -> None:
        self._db = db
        self._bucket = bucket

    async def stored(self, asset: AssetRecord) -> list[Part]:
        """Return the stored parts of a pending asset.

        Raises:
            UploadEnded: The upload has been completed in storage.
            UploadExpired: Storage has deleted the parts.
        """
        key = key_of(asset)
        try:
            return await self._bucket.uploads.stored(key, _upload_id(asset))
        except ObjectMissing:
            logger.debug("storage has no multipart upload of %s", key)
        try:
            await self._bucket.stat(key)
        except ObjectMissing:
            raise UploadExpired from None
        raise UploadEnded("All parts of this upload are stored: complete it by POST /complete.")

    async def complete(
        self, asset: AssetRecord, named: Sequence[CompletedPart] | None
    ) -> str | None:
        """Complete the object of a pending asset in storage, and return its ETag.

        Repeated calls have no further effect.

        Raises:
            AssetNotFound: The asset was deleted concurrently.
            InvalidAsset: `named` has a duplicate part, or one that the upload does not have.
            UploadIncomplete: A part is missing, or has another size or ETag than expected.
        """
        if await queries.extend_put(self._db.pool, asset.id, COMPLETION) is None:
            raise AssetNotFound(asset.id)
        key, upload_id = key_of(asset), _upload_id(asset)
        reason = UploadExpired.detail
        try:
            stored = await self._bucket.uploads.stored(key, upload_id)
            parts = PartPlan.of(asset).check(stored, named)
            await self._bucket.uploads.complete(key, upload_id, parts)
        except ObjectMissing:
            logger.debug("the upload of %s has been completed already", key)
        except UploadIncomplete as exc:
            # Storage may be deleting parts that a concurrent request has just completed.
            reason = exc.detail
        except Refused as exc:
            reason = (
                f"Storage refused the parts ({exc}): a part may have been replaced concurrently."
            )
        try:
            stored_object = await self._bucket.head(key)
        except ObjectMissing:
            raise UploadIncomplete(reason) from None
        if stored_object.size != asset.size:
            raise UploadIncomplete(
                f"The stored object has {stored_object.size} bytes; {asset.size} were declared."
            )
        return stored_object.etag


def _upload_id(asset: AssetRecord) -> str:
    if asset.upload_id is None:
        raise ValueError(f"asset {asset.id} has no multipart upload")
    return asset.upload_id
