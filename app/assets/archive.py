"""Zip archives of assets, streamed while they are written.

Memory holds the names of the files, but not their bytes.
"""

from __future__ import annotations

import io
import unicodedata
import zipfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.assets import archive_queries as queries
from app.assets.archive_queries import ArchiveAsset
from app.assets.errors import AssetCorrupt, AssetNotFound, ContentMissing, UploadIncomplete
from app.assets.object_keys import key_of
from app.database.engine import Database
from app.http.problems import TooLarge
from app.runtime.ids import is_id
from app.storage import Bucket, ObjectMissing
from processing_context.wire.assets import FOLDER

MAX_MEMBERS = 50_000
MAX_PATH_BYTES = 32_000
MAX_PART_BYTES = 240
SEND_BYTES = 256 * 1024
# Windows forbids these characters in names, and reserves these names for devices.
_FORBIDDEN = frozenset('<>:"/\\|?*')
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)


@dataclass(frozen=True, slots=True)
class Member:
    """Entry of the zip; the path of a folder ends in a slash."""

    path: str
    asset: ArchiveAsset


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
        found = await queries.trees(self._db.pool, wanted, user_id=user_id, limit=MAX_MEMBERS + 1)
        assets = {asset.id: asset for asset in found}
        if len(assets) > MAX_MEMBERS:
            raise TooLarge(f"The archive would have more than {MAX_MEMBERS} files and folders.")
        for asset_id in wanted:
            if asset_id not in assets:
                raise AssetNotFound(asset_id)
        for asset_id in wanted:
            if assets[asset_id].status == "pending":
                raise UploadIncomplete(f"The upload of asset {asset_id} is not complete.")
        ready = [asset for asset in assets.values() if asset.status != "pending"]
        for asset in ready:
            if asset.status == "corrupt":
                raise AssetCorrupt(f"The bytes of asset {asset.id} are corrupt: upload them again.")
        members = list(_members([assets[asset_id] for asset_id in wanted], ready))
        return Archive(self._db, self._bucket, members)


class Archive:
    """Zip whose entries are read and checked before the first byte is sent."""

    def __init__(self, db: Database, bucket: Bucket, members: Sequence[Member]) -> None:
        self._db = db
        self._bucket = bucket
        self._members = members

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the zip. Files are stored uncompressed: large media formats are compressed already.

        Raises:
            ContentMissing: Storage has lost the bytes of a file.
            StorageUnavailable: Storage does not answer.
        """
        out = _Pipe()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for member in self._members:
                info = zipfile.ZipInfo(member.path, _moment(member.asset.created_at))
                if member.path.endswith("/"):
                    info.external_attr = 0o755 << 16 | 0x10
                    archive.writestr(info, b"")
                    continue
                info.external_attr = 0o644 << 16
                with archive.open(info, "w", force_zip64=True) as file:
                    async for piece in await self._read(member.asset):
                        file.write(piece)
                        if out.waiting_bytes >= SEND_BYTES:
                            yield out.take()
        yield out.take()

    async def _read(self, asset: ArchiveAsset) -> AsyncIterator[bytes]:
        try:
            return await self._bucket.read(key_of(asset), 0, asset.size)
        except ObjectMissing:
            # The bytes may have been replaced since the rows were read.
            current = await queries.ready_version(self._db.pool, asset.id)
        try:
            if current is not None:
                return await self._bucket.read(key_of(current), 0, current.size)
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


def _members(tops: Sequence[ArchiveAsset], assets: Sequence[ArchiveAsset]) -> Iterator[Member]:
    children: dict[str | None, list[ArchiveAsset]] = {}
    for asset in assets:
        children.setdefault(asset.parent_id, []).append(asset)
    folders = [("", list(tops))]
    count = 0
    while folders:
        above, inside = folders.pop()
        taken: set[str] = set()
        for asset in inside:
            path = above + _unique(safe_name(asset.name), taken)
            count += 1
            if len(path.encode()) > MAX_PATH_BYTES or count > MAX_MEMBERS:
                raise TooLarge(
                    "The paths in the archive are too long, or it has too many files and folders."
                )
            if asset.content_type == FOLDER:
                path += "/"
                folders.append((path, children.get(asset.id, [])))
            yield Member(path, asset)


def safe_name(name: str) -> str:
    """Return a name that is a valid path component on every operating system."""
    clean = "".join(
        "_" if c in _FORBIDDEN or not c.isprintable() else c
        for c in unicodedata.normalize("NFC", name)
    )
    clean = clean.rstrip(". ").lstrip(" ") or "_"
    if clean.partition(".")[0].strip().casefold() in _DEVICES:
        clean = f"_{clean}"
    stem, dot, extension = clean.rpartition(".")
    if not stem or len(extension.encode()) > 16:
        stem, dot, extension = clean, "", ""
    stem_bytes = MAX_PART_BYTES - len(f"{dot}{extension}".encode())
    return stem.encode()[:stem_bytes].decode(errors="ignore") + dot + extension


def _unique(name: str, taken: set[str]) -> str:
    """Return a name that is unique in its folder, ignoring case."""
    stem, dot, extension = name.rpartition(".")
    if not stem:
        stem, dot, extension = name, "", ""
    number = 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem} ({number}){dot}{extension}"
    taken.add(name.casefold())
    return name


def _moment(created_at: datetime) -> tuple[int, int, int, int, int, int]:
    return (
        created_at.year, created_at.month, created_at.day,
        created_at.hour, created_at.minute, created_at.second,
    )  # fmt: skip
