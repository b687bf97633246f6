"""Assets as one zip, written while it is sent: memory holds their names, never their bytes."""

from __future__ import annotations

import io
import unicodedata
import zipfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.assets.errors import AssetCorrupt, AssetNotFound, ContentMissing, UploadIncomplete
from app.assets.presigned_urls import key_of
from app.assets.queries import Row
from app.database.engine import Database
from app.http.problems import TooLarge
from app.runtime.ids import is_id
from app.storage import ObjectMissing, Storage
from processing_context.wire.assets import FOLDER

MAX_MEMBERS = 50_000
MAX_PATH_BYTES = 32_000
MAX_PART_BYTES = 240
SEND_BYTES = 256 * 1024
_TREE = f"""
with recursive tree as (
  select id from assets where id = any($1) and user_id = $2
  union select a.id from assets a join tree on a.parent_id = tree.id)
select id, parent_id, name, content_type, version, size, status, created_at
from assets join tree using (id) order by id limit {MAX_MEMBERS + 1}"""
_VERSION = "select id, version, size from assets where id = $1 and status = 'ready'"
# What Windows does not allow in a name, and what it takes for a device.
_FORBIDDEN = frozenset('<>:"/\\|?*')
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)


@dataclass(frozen=True, slots=True)
class Member:
    """An entry of the zip; a folder's path ends in a slash."""

    path: str
    row: Row


class Archive:
    """What goes into a zip, found and checked before the first byte."""

    def __init__(self, db: Database, storage: Storage, members: Sequence[Member]) -> None:
        self._db = db
        self._storage = storage
        self._members = members

    @classmethod
    async def of(
        cls, db: Database, storage: Storage, asset_ids: Sequence[str], *, owner_id: str
    ) -> Archive:
        """Return the zip of assets of an owner, folders with all that is in them.

        Raises:
            AssetNotFound: One does not exist or belongs to someone else.
            UploadIncomplete: The bytes of one have not come yet. Within folders these are left
                out, as they are of lists.
            AssetCorrupt: The bytes of one are not what was declared.
            TooLarge: It would have too many entries.
        """
        wanted = list(dict.fromkeys(asset_ids))
        if not all(is_id(id_) for id_ in wanted):
            raise AssetNotFound
        rows = {row["id"]: row for row in await db.pool.fetch(_TREE, wanted, owner_id)}
        if len(rows) > MAX_MEMBERS:
            raise TooLarge(f"An archive holds at most {MAX_MEMBERS} files and folders.")
        if not rows.keys() >= set(wanted):
            raise AssetNotFound("One of the assets does not exist.")
        if any(rows[id_]["status"] == "pending" for id_ in wanted):
            raise UploadIncomplete("The bytes of one of the assets have not come yet.")
        ready = [row for row in rows.values() if row["status"] != "pending"]
        for row in ready:
            if row["status"] == "corrupt":
                raise AssetCorrupt(f"The bytes of asset {row['id']} are not those declared.")
        return cls(db, storage, list(_members([rows[id_] for id_ in wanted], ready)))

    async def chunks(self) -> AsyncIterator[bytes]:
        """The zip. Files are stored as they are: what takes space is compressed by itself.

        Raises:
            ContentMissing: Storage has lost the bytes of a file.
            StorageUnavailable: Storage does not answer.
        """
        out = _Pipe()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for member in self._members:
                info = zipfile.ZipInfo(member.path, _moment(member.row["created_at"]))
                if member.path.endswith("/"):
                    info.external_attr = 0o755 << 16 | 0x10
                    archive.writestr(info, b"")
                    continue
                info.external_attr = 0o644 << 16
                with archive.open(info, "w", force_zip64=True) as file:
                    async for piece in await self._read(member.row):
                        file.write(piece)
                        if out.waiting_bytes >= SEND_BYTES:
                            yield out.take()
        yield out.take()

    async def _read(self, row: Row) -> AsyncIterator[bytes]:
        try:
            return await self._storage.assets.read(key_of(row), 0, row["size"])
        except ObjectMissing:
            # The bytes may have been replaced since.
            current = await self._db.pool.fetchrow(_VERSION, row["id"])
        try:
            if current is not None:
                return await self._storage.assets.read(key_of(current), 0, current["size"])
        except ObjectMissing:
            raise ContentMissing from None
        raise ContentMissing


class _Pipe(io.RawIOBase):
    """Where the zip is written to, and taken from: it cannot be sought in."""

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


def _members(tops: Sequence[Row], rows: Sequence[Row]) -> Iterator[Member]:
    children: dict[str, list[Row]] = {}
    for row in rows:
        children.setdefault(row["parent_id"], []).append(row)
    waiting = [("", list(tops))]
    count = 0
    while waiting:
        above, inside = waiting.pop()
        taken: set[str] = set()
        for row in inside:
            path = above + _unique(safe_name(row["name"]), taken)
            count += 1
            if len(path.encode()) > MAX_PATH_BYTES or count > MAX_MEMBERS:
                raise TooLarge("The folders are nested too deeply, or too often, for an archive.")
            if row["content_type"] == FOLDER:
                path += "/"
                waiting.append((path, children.get(row["id"], [])))
            yield Member(path, row)


def safe_name(name: str) -> str:
    """Return a name that is one harmless part of a path, on every system."""
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
    room = MAX_PART_BYTES - len(f"{dot}{extension}".encode())
    return stem.encode()[:room].decode(errors="ignore") + dot + extension


def _unique(name: str, taken: set[str]) -> str:
    """Return a name that no other of the folder has, also where case does not count."""
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
