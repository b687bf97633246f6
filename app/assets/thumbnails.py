"""Thumbnails of images and videos, created on the first request and stored."""

from __future__ import annotations

from app.assets import thumbnail_queries as queries
from app.assets.errors import ContentMissing, NoThumbnail
from app.assets.object_keys import key_of, object_key
from app.assets.queries import AssetRecord
from app.assets.service import AssetService, check_readable
from app.assets.thumbnail_queries import ThumbnailRecord
from app.database.engine import Database
from app.database.statement import Connection
from app.http.stored_content import Content
from app.media.decoders.pool import Decoders
from app.media.decoders.sources import stored
from app.runtime.ids import new_id
from app.storage import Bucket, Journal, ObjectMissing
from processing_context.wire import media_types
from processing_context.wire.assets import FOLDER

DEFAULT_SIZE = 256
FUNCTIONS = {
    "image": "app.assets.image_decoding:thumbnail",
    "video": "app.assets.av_decoding:thumbnail",
}
_ATTEMPTS = 3


class ThumbnailService:
    """Creates and reads thumbnails of assets."""

    def __init__(
        self,
        db: Database,
        bucket: Bucket,
        journal: Journal,
        decoders: Decoders,
        assets: AssetService,
        *,
        max_pixels: int,
    ) -> None:
        self._db = db
        self._bucket = bucket
        self._journal = journal
        self._decoders = decoders
        self._assets = assets
        self._max_pixels = max_pixels

    async def get(self, user_id: str, asset_id: str, size: int) -> Content:
        """Return the thumbnail that fits a square of `size` pixels; it is created if missing.

        Raises:
            AssetNotFound: The asset does not exist, or it belongs to another user.
            NoThumbnail: The asset is neither an image nor a video.
            UploadIncomplete: The bytes have not been uploaded.
            AssetCorrupt: The bytes do not match their declared SHA-256, or are lost.
            Undecodable: The bytes cannot be decoded.
            SourceTooLarge: The decoded image would be larger than the limit.
            ConversionTimeout: Decoding took longer than the limit.
        """
        for _ in range(_ATTEMPTS):
            asset = await self._assets.get(user_id, asset_id)
            if asset.content_type == FOLDER:
                raise NoThumbnail
            check_readable(asset)
            found = await queries.find(self._db.pool, asset_id, size)
            if found is not None:
                return self._content(asset, found)
            try:
                await self._create(asset, size)
            except ObjectMissing:
                # The bytes may have been replaced concurrently.
                continue
        raise ContentMissing

    async def discard(self, asset_id: str, content: Content) -> None:
        """Delete the row of a thumbnail whose object is lost; it is created again on request."""
        async with self._db.transaction() as on:
            await queries.delete(on, asset_id, content.key)

    async def _create(self, asset: AssetRecord, size: int) -> None:
        source = stored(self._bucket, key_of(asset), asset.size)
        head = await source.read(0, min(media_types.HEAD_BYTES, source.size))
        kind = media_types.kind_of(media_types.sniff(head) or asset.content_type)
        function = FUNCTIONS.get(kind)
        if function is None:
            raise NoThumbnail
        image = await self._decoders.run(
            function, source, asset.user_id, size=size, max_pixels=self._max_pixels
        )
        thumbnail = ThumbnailRecord(object_key(asset.id, new_id()), len(image))
        async with self._journal.putting(thumbnail.key):
            async with self._bucket.upload(thumbnail.key, asset.user_id) as upload:
                await upload.write(image)
            async with self._db.transaction() as on:
                await self._journal.finish(on, thumbnail.key)
                is_inserted = await _insert(on, asset, size, thumbnail)
                if not is_inserted:
                    await self._journal.retire(on, [thumbnail.key], [None])
        if not is_inserted:
            await self._journal.delete([thumbnail.key])

    def _content(self, asset: AssetRecord, thumbnail: ThumbnailRecord) -> Content:
        return Content(
            bucket=self._bucket,
            key=thumbnail.key,
            size=thumbnail.bytes,
            content_type="image/webp",
            etag=f'"{thumbnail.key.rpartition("/")[2]}"',
            name=f"{asset.name}.webp",
        )


async def _insert(
    on: Connection, asset: AssetRecord, size: int, thumbnail: ThumbnailRecord
) -> bool:
    """Insert a thumbnail; return False if it is outdated or another request inserted one."""
    if not await queries.lock_version(on, asset.id, asset.version):
        return False
    if not await queries.insert(on, asset.id, size, thumbnail):
        return False
    if size == DEFAULT_SIZE:
        await queries.set_default(on, asset.id, thumbnail.key)
    return True
