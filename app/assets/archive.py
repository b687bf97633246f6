"""Zip archives of assets, streamed while they are written.

Memory holds the names of the files, but not their bytes.
"""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime

import anyio.to_thread

from app.assets import archive_queries as queries
from app.assets.archive_names import MAX_MEMBERS, Member, by_parent, members
from app.assets.archive_queries import ArchiveAsset
from app.assets.errors import AssetCorrupt, AssetNotFound, ContentMissing, UploadIncomplete
from app.assets.service import content_of
from app.database.engine import Database
from app.http.problems import TooLarge
from app.runtime.ids import is_id
from app.storage import Bucket, ObjectMissing

SEND_BYTES = 256 * 1024
ROWS_AT_ONCE = 1000
_MEMBERS_AT_ONCE = 50
"""Number of entries without bytes after which the event loop runs other tasks."""


class ArchiveService:
    """Creates archives of assets."""

    def __init__(self, db: Database, bucket: Bucket) -> None:
        self._db = db
        self._bucket = bucket

    async def open(self, user_id: str, asset_ids: Sequence[str]) -> Archive:
        """Return the archive of a user's assets; folders are included with everything below them.

        Raises:
            AssetNotFound: An asset does not exist, or it belongs to another user.
            UploadIncomplete: A requested asset has not been uploaded. Such files within folders
                are left out, as in lists.
            AssetCorrupt: The bytes of an asset do not match their declared SHA-256.
            TooLarge: The archive would have too many entries.
        """
        wanted = list(dict.fromkeys(asset_ids))
        for asset_id in wanted:
            if not is_id(asset_id):
                raise AssetNotFound(asset_id)
        assets = await self._trees(user_id, wanted)
        for asset_id in wanted:
            if asset_id not in assets:
                raise AssetNotFound(asset_id)
            if assets[asset_id].status == "pending":
                raise UploadIncomplete(f"The upload of asset {asset_id} is not complete.")
        ready = [asset for asset in assets.values() if asset.status != "pending"]
        for asset in ready:
            if asset.status == "corrupt":
                raise AssetCorrupt(f"The bytes of asset {asset.id} are corrupt: upload them again.")
        tops = [assets[asset_id] for asset_id in wanted]
        return Archive(
            self._db,
            self._bucket,
            [member async for member in members(tops, by_parent(ready))],
        )

    async def _trees(self, user_id: str, asset_ids: Sequence[str]) -> dict[str, ArchiveAsset]:
        """Return assets with everything below them, in the order of ids, read in pages."""
        ids = await queries.tree_ids(
            self._db.pool, asset_ids, user_id=user_id, limit=MAX_MEMBERS + 1
        )
        if len(ids) > MAX_MEMBERS:
            raise TooLarge(f"The archive would have more than {MAX_MEMBERS} files and folders.")
        assets: dict[str, ArchiveAsset] = {}
        for first in range(0, len(ids), ROWS_AT_ONCE):
            page = await queries.get(self._db.pool, ids[first : first + ROWS_AT_ONCE])
            assets.update((asset.id, asset) for asset in page)
        return assets


class Archive:
    """Zip whose entries are read and checked before the first byte is sent.

    The files are not compressed: large media formats are compressed already. They are deflated all
    the same, in stored blocks (level 0), because a reader that unpacks a stream finds the end of
    deflated data without knowing its length, which follows after the data.
    """

    def __init__(self, db: Database, bucket: Bucket, members: Sequence[Member]) -> None:
        self._db = db
        self._bucket = bucket
        self._members = members

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the zip.

        Raises:
            ContentMissing: Storage has lost the bytes of a file.
            ContentCorrupt: The bytes in storage are not those that were stored.
            StorageUnavailable: Storage does not answer.
        """
        out = _Pipe()
        with zipfile.ZipFile(out, "w") as archive:
            for number, member in enumerate(self._members, 1):
                async with aclosing(self._write(archive, member)) as pieces:
                    async for _ in pieces:
                        if out.waiting_bytes >= SEND_BYTES:
                            yield out.take()
                if number % _MEMBERS_AT_ONCE == 0:
                    await asyncio.sleep(0)
            # The directory of a large zip takes long to write.
            await anyio.to_thread.run_sync(archive.close)
        yield out.take()

    async def _write(self, archive: zipfile.ZipFile, member: Member) -> AsyncGenerator[None]:
        """Write an entry, yielding after each piece."""
        if member.path.endswith("/"):
            archive.mkdir(_entry(member, 0o755 << 16 | 0x10))
            yield
            return
        info = _entry(member, 0o644 << 16)
        info.compress_type = zipfile.ZIP_DEFLATED
        info._compresslevel = 0  # type: ignore[attr-defined]  # public from Python 3.13 on
        # Decides if the lengths after the data have 8 bytes, which not all readers expect.
        info.file_size = member.asset.size
        with archive.open(info, "w") as file:
            async for piece in await self._read(member.asset):
                file.write(piece)
                yield

    async def _read(self, asset: ArchiveAsset) -> AsyncIterator[bytes]:
        try:
            return await content_of(self._bucket, asset).read()
        except ObjectMissing:
            # The bytes may have been replaced since the rows were read.
            current = await queries.get_ready(self._db.pool, asset.id)
        try:
            if current is not None:
                return await content_of(self._bucket, current).read()
        except ObjectMissing:
            raise ContentMissing from None
        raise ContentMissing


class _Pipe(io.RawIOBase):
    """Buffer between the zip writer and the response; not seekable."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.waiting_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._pieces.append(bytes(data))
        self.waiting_bytes += len(data)
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        self.waiting_bytes = 0
        return data


def _entry(member: Member, attributes: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(member.path, _moment(member.asset.created_at))
    entry.external_attr = attributes
    entry.CRC = 0
    return entry


def _moment(created_at: datetime) -> tuple[int, int, int, int, int, int]:
    return (
        created_at.year, created_at.month, created_at.day,
        created_at.hour, created_at.minute, created_at.second,
    )  # fmt: skip
