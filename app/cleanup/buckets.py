"""Buckets against tables: objects without a row, rows without an object, uploads of nobody.

An object that is listed has an entry in the journal until the transaction that makes its row; so
whoever asks the journal first and the rows after never takes one for a stray.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from app.assets import cleanup as assets
from app.database.engine import Database
from app.storage import Bucket, ObjectMissing, Storage, journal
from app.storage.journal import BucketName
from app.temp import cleanup as temp

PAGE = 1000
AT_MOST = 10_000
"""How many strays, and how many losses, one sweep notes; the next one finds the others."""
FEW = 100


class Rows:
    """What the tables say of one bucket."""

    def __init__(self, db: Database, storage: Storage, bucket: BucketName) -> None:
        self._db = db
        self._storage = storage
        self.bucket = bucket
        self._key = _KEYS[bucket]

    def owns(self, key: str) -> bool:
        """Whether a key is one of ours: what somebody else put into the bucket is his."""
        return self._key.fullmatch(key) is not None

    async def known(self, keys: Collection[str]) -> set[str]:
        """Return those of the keys that something names."""
        noted = await journal.known(self._db, self.bucket, keys)
        return noted | await _NAMED[self.bucket](self._db, keys)

    async def awaited(self, keys: Collection[str]) -> set[str]:
        """Return those of the keys to which somebody may still be putting parts."""
        noted = await journal.awaited(self._db, self.bucket, keys)
        return noted | await assets.awaited(self._db, keys) if self.bucket == "assets" else noted

    async def stored(
        self, after: str, last: str | None, older_than: timedelta
    ) -> AsyncIterator[list[str]]:
        """Yield pages of the keys from `after` to `last` whose objects should be there."""
        finds: list[Callable[..., Awaitable[list[str]]]] = (
            [partial(assets.stored, older_than=older_than), assets.stored_thumbnails]
            if self.bucket == "assets"
            else [partial(temp.stored, older_than=older_than)]
        )
        for find in finds:
            keys = await find(self._db, after=after, last=last, limit=PAGE)
            while keys:
                yield keys
                if len(keys) < PAGE:
                    break
                keys = await find(self._db, after=keys[-1], last=last, limit=PAGE)

    async def lose(self, keys: Sequence[str]) -> int:
        """Put right the rows whose objects are gone; return how many."""
        if self.bucket == "assets":
            return await assets.lose(self._db, keys)
        return await temp.remove(self._db, self._storage, keys)


_KEYS: Mapping[str, re.Pattern[str]] = {
    "assets": re.compile(r"[0-9a-f]{32}/[0-9a-f]{32}"),
    "temp": re.compile(r"[0-9a-f]{32}\.[a-z0-9]{1,16}"),
}
_NAMED: Mapping[str, Callable[[Database, Collection[str]], Awaitable[set[str]]]] = {
    "assets": assets.named,
    "temp": temp.named,
}


@dataclass(slots=True)
class Differences:
    """Objects and rows that have no counterpart, and how many have one."""

    strays: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    known: int = 0

    def is_plausible(self, found: Sequence[str]) -> bool:
        """Whether so many can be left by crashes; else this is another database's bucket."""
        return len(found) <= max(FEW, self.known)


async def compare(objects: Bucket, rows: Rows, grace: timedelta) -> Differences:
    """Compare a bucket with its rows; what is younger than `grace` is left out.

    Raises:
        StorageUnavailable: Storage does not answer.
    """
    found = Differences()
    limit = datetime.now(UTC) - grace
    after = ""
    async for page in objects.pages():
        ours = {item.key: item.modified_at for item in page if rows.owns(item.key)}
        if not ours:
            continue
        known = await rows.known(ours)
        found.known += len(known)
        found.strays += [
            key for key, modified_at in ours.items() if key not in known and modified_at < limit
        ]
        last = max(ours)
        found.losses += await _absent(rows, after, last, ours, grace)
        after = last
        if max(len(found.strays), len(found.losses)) > AT_MOST:
            return found
    found.losses += await _absent(rows, after, None, (), grace)
    return found


async def _absent(
    rows: Rows, after: str, last: str | None, there: Collection[str], grace: timedelta
) -> list[str]:
    absent: list[str] = []
    async for keys in rows.stored(after, last, grace):
        absent += [key for key in keys if key not in there]
        if len(absent) > AT_MOST:
            break
    return absent


async def really_absent(objects: Bucket, keys: Sequence[str]) -> list[str]:
    """Return those of the keys that have no object: a listing is not of one moment.

    Raises:
        StorageUnavailable: Storage does not answer.
    """
    absent: list[str] = []
    for key in keys:
        try:
            await objects.stat(key)
        except ObjectMissing:
            absent.append(key)
    return absent


async def abort_uploads(objects: Bucket, rows: Rows, grace: timedelta, *, dry: bool) -> int:
    """Abort multipart uploads that nobody will finish; return how many.

    Raises:
        StorageUnavailable: Storage does not answer.
    """
    limit = datetime.now(UTC) - grace
    found = [
        upload
        async for upload in objects.uploads.unfinished()
        if rows.owns(upload.key) and upload.begun_at < limit
    ]
    aborted = 0
    for first in range(0, len(found), PAGE):
        batch = found[first : first + PAGE]
        awaited = await rows.awaited({upload.key for upload in batch})
        for upload in batch:
            if upload.key in awaited:
                continue
            aborted += 1
            if not dry:
                await objects.uploads.abort(upload.key, upload.upload_id)
    return aborted
