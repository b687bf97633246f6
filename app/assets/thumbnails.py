"""Small pictures of images and videos: made when first asked for, then served from storage."""

from __future__ import annotations

from app.assets.errors import ContentMissing
from app.assets.presigned_urls import check_readable, key_of
from app.assets.queries import Row
from app.assets.service import AssetService
from app.database.engine import Database
from app.database.statement import Connection
from app.http.file_response import Content
from app.http.problems import Invalid
from app.media.decoders.pool import Decoders
from app.media.decoders.sources import stored
from app.runtime.ids import new_id
from app.storage import Journal, ObjectMissing, Storage
from processing_context.wire import media_types
from processing_context.wire.assets import FOLDER

USUAL_SIZE = 256
FUNCTIONS = {
    "image": "app.assets.image_decoding:thumbnail",
    "video": "app.assets.av_decoding:thumbnail",
}
_ATTEMPTS = 3
_FIND = "select key, bytes from asset_thumbnails where asset_id = $1 and size = $2"
# The lock keeps the bytes from being replaced, and makers of the same thumbnail in a row.
_LOCK = "select 1 from assets where id = $1 and version = $2 for no key update"
_INSERT = """
insert into asset_thumbnails (asset_id, size, key, bytes) values ($1, $2, $3, $4)
on conflict do nothing returning 1"""
_SET_USUAL = "update assets set thumb_key = $2 where id = $1"
_FORGET = "delete from asset_thumbnails where key = $1"
_FORGET_USUAL = "update assets set thumb_key = null where id = $1 and thumb_key = $2"


class NoThumbnail(Invalid):
    """It shows nothing."""

    code = "no_thumbnail"
    detail = "Only images and videos have thumbnails."


class ThumbnailService:
    """Thumbnails of one owner's assets."""

    def __init__(
        self,
        db: Database,
        storage: Storage,
        decoders: Decoders,
        assets: AssetService,
        *,
        max_pixels: int,
    ) -> None:
        self._db = db
        self._storage = storage
        self._decoders = decoders
        self._assets = assets
        self._max_pixels = max_pixels
        self._journal = Journal(db, storage, "assets")

    async def get(self, asset_id: str, size: int) -> Content:
        """Return the thumbnail that fits a square of `size` pixels; it is made where it is missing.

        Raises:
            AssetNotFound: The asset does not exist or belongs to someone else.
            NoThumbnail: It is neither an image nor a video.
            UploadIncomplete: Its bytes have not come yet.
            AssetCorrupt: They are not what was declared.
            Undecodable: They cannot be decoded.
            SourceTooLarge: Decoded, they would be too large.
            ConversionTimeout: Decoding them took too long.
        """
        for _ in range(_ATTEMPTS):
            row = await self._assets.get(asset_id)
            if row["content_type"] == FOLDER:
                raise NoThumbnail
            check_readable(row)
            found = await self._db.pool.fetchrow(_FIND, asset_id, size)
            if found is not None:
                return self._content(row, found["key"], found["bytes"])
            try:
                await self._make(row, size)
            except ObjectMissing:
                # The bytes may just have been replaced.
                continue
        raise ContentMissing

    async def forget(self, asset_id: str, content: Content) -> None:
        """Forget a thumbnail whose object is lost: it will be made again."""
        async with self._db.transaction() as on:
            await on.execute(_FORGET_USUAL, asset_id, content.key)
            await on.execute(_FORGET, content.key)

    async def _make(self, row: Row, size: int) -> None:
        source = stored(self._storage.assets, key_of(row), row["size"])
        head = await source.read(0, min(media_types.HEAD_BYTES, source.size))
        function = FUNCTIONS.get(
            media_types.kind_of(media_types.sniff(head) or row["content_type"])
        )
        if function is None:
            raise NoThumbnail
        image = await self._decoders.run(function, source, size=size, max_pixels=self._max_pixels)
        key = f"{row['id']}/{new_id()}"
        async with self._journal.putting(key):
            async with self._storage.assets.upload(key) as upload:
                await upload.write(image)
            async with self._db.transaction() as on:
                await self._journal.finish(on, key)
                is_wanted = await self._insert(on, row, size, key, len(image))
                if not is_wanted:
                    await self._journal.retire(on, [key], [None])
        if not is_wanted:
            await self._journal.delete([key])

    async def _insert(self, on: Connection, row: Row, size: int, key: str, count: int) -> bool:
        """Note a thumbnail, unless the bytes have been replaced, or another was faster."""
        if await on.fetchval(_LOCK, row["id"], row["version"]) is None:
            return False
        if await on.fetchval(_INSERT, row["id"], size, key, count) is None:
            return False
        if size == USUAL_SIZE:
            await on.execute(_SET_USUAL, row["id"], key)
        return True

    def _content(self, row: Row, key: str, count: int) -> Content:
        return Content(
            bucket=self._storage.assets,
            key=key,
            size=count,
            content_type="image/webp",
            etag=f'"{key.rpartition("/")[2]}"',
            name=f"{row['name']}.webp",
        )
