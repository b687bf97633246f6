"""Assets whose bytes come in parts, put straight into storage by the caller."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from app.assets import queries
from app.assets.errors import AssetNotFound, UploadEnded, UploadExpired, UploadIncomplete
from app.assets.part_plan import Cut
from app.assets.presigned_urls import key_of
from app.assets.queries import Row
from app.database.engine import Database
from app.storage import ObjectMissing, Part, Refused, Storage
from processing_context.wire.assets import CompletedPart

logger = logging.getLogger(__name__)

COMPLETION = timedelta(minutes=15)
"""Longer than storage may take: what appears of a deleted asset until then is still deleted."""


class Multipart:
    """The multipart uploads of pending assets; the object is there only once one is complete."""

    def __init__(self, db: Database, storage: Storage) -> None:
        self._db = db
        self._bucket = storage.assets

    async def stored(self, row: Row) -> list[Part]:
        """Return the parts of a pending asset that storage has.

        Raises:
            UploadEnded: The parts have been put together.
            UploadExpired: Storage has given up the upload.
        """
        try:
            return await self._bucket.uploads.stored(key_of(row), row["upload_id"])
        except ObjectMissing:
            pass
        try:
            await self._bucket.stat(key_of(row))
        except ObjectMissing:
            raise UploadExpired from None
        raise UploadEnded("The parts of this upload have been put together: complete it.")

    async def put_together(self, row: Row, named: Sequence[CompletedPart] | None) -> None:
        """Make the object of a pending asset; whoever comes second finds it made.

        Raises:
            AssetNotFound: The asset was deleted meanwhile.
            InvalidAsset: The caller names a part that cannot be, or one twice.
            UploadIncomplete: A part is missing, or is not what it should be.
        """
        if await self._db.pool.fetchval(queries.EXTEND, row["id"], COMPLETION) is None:
            raise AssetNotFound
        key, upload_id = key_of(row), row["upload_id"]
        reason = UploadExpired.detail
        try:
            stored = await self._bucket.uploads.stored(key, upload_id)
            parts = Cut.of(row).check(stored, named)
            await self._bucket.uploads.complete(key, upload_id, parts)
        except ObjectMissing:
            logger.debug("the upload of %s is over already", row["id"])
        except UploadIncomplete as exc:
            # Or storage is about to clear away what another request has just put together.
            reason = exc.detail
        except Refused as exc:
            reason = f"Storage refused the parts ({exc}): one was put again meanwhile?"
        try:
            size = (await self._bucket.stat(key)).size
        except ObjectMissing:
            raise UploadIncomplete(reason) from None
        if size != row["size"]:
            raise UploadIncomplete(f"Storage has {size} bytes, {row['size']} were declared.")
