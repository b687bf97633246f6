"""What is being done to objects, written down first, so that a crash leaves no orphan and no gap.

A `put` entry is committed before the transfer and removed in the transaction that makes the row:
while it exists, no row names the object. A `delete` entry is made in the transaction that removes
the row and goes once the object has gone; an `abort` entry also ends the multipart uploads of its
key. Whatever is due is worked off by any replica.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from types import MappingProxyType
from typing import Literal

import asyncpg
from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.engine import Database
from app.database.errors import is_database_away
from app.database.statement import Connection
from app.database.tables import Base
from app.storage.errors import StorageUnavailable, UploadInterrupted
from app.storage.storage import Storage

logger = logging.getLogger(__name__)

BucketName = Literal["assets", "temp"]

INTENT_TTL_S = 300
RENEW_S = 60
DELETE_GRACE_S = 60
CLAIM_S = 300
CLAIM_COUNT = 500


class JournalRow(Base):
    """An object that must not stay as it is, half put or to be deleted, once `due_at` has come."""

    __tablename__ = "storage_journal"

    bucket: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    op: Mapped[str] = mapped_column(Text)
    due_at: Mapped[datetime] = mapped_column(index=True)


# Not flushed: lost to a crash of PostgreSQL it costs an orphan, while every upload would wait.
_BEGIN = f"""
insert into storage_journal (bucket, key, op, due_at)
select $1, key, 'put', now() + interval '{INTENT_TTL_S} s'
from set_config('synchronous_commit', 'off', true), unnest($2::text[]) as key"""
_RENEW = f"""
update storage_journal set due_at = now() + interval '{INTENT_TTL_S} s'
where bucket = $1 and key = any($2) and op = 'put'"""
_DISCARD = """
update storage_journal set op = 'delete', due_at = now()
where bucket = $1 and key = any($2) and op = 'put' returning key"""
_FINISH = """
delete from storage_journal where bucket = $1 and key = any($2) and op = 'put' returning key"""
_RETIRE = f"""
insert into storage_journal (bucket, key, op, due_at)
select $1, key, case when key = any($4) then 'abort' else 'delete' end,
  greatest(now(), put_until) + interval '{DELETE_GRACE_S} s'
from unnest($2::text[], $3::timestamptz[]) as retired (key, put_until)"""
_REMOVE = "delete from storage_journal where bucket = $1 and key = any($2) and op <> 'put'"
# What somebody can still put again is deleted once more when his URL has expired.
_REMOVE_FINAL = f"{_REMOVE} and due_at <= now() + interval '{DELETE_GRACE_S} s'"
_KNOWN = "select key from storage_journal where bucket = $1 and key = any($2)"
_AWAITED = f"{_KNOWN} and op = 'put'"
_COUNT_DUE = "select count(*) from storage_journal where due_at < now()"
# An intent that fell due is turned into a deletion: its own transaction then finds it gone.
_CLAIM = f"""
update storage_journal set
  op = case op when 'put' then 'abort' else op end, due_at = now() + interval '{CLAIM_S} s'
where (bucket, key) in (
  select bucket, key from storage_journal where due_at < now()
  order by due_at limit {CLAIM_COUNT} for update skip locked)
returning bucket, key, op"""


class Journal:
    """The journal of one bucket."""

    def __init__(self, db: Database, storage: Storage, bucket: BucketName) -> None:
        self._db = db
        self._bucket = bucket
        self._objects = storage.by_name(bucket)

    @asynccontextmanager
    async def putting(self, *keys: str) -> AsyncIterator[None]:
        """Announce objects; the block puts them and makes the rows that name them, with `finish`.

        When the block fails they are deleted, now or, where storage is away too, later; a block
        that does without some of them says so with `discard`.
        """
        await self._db.pool.execute(_BEGIN, self._bucket, keys)
        renewal = asyncio.create_task(self._renew(keys))
        try:
            yield
        except StorageUnavailable:
            # It may still arrive: the entry falls due when no request of ours can be alive.
            raise
        except Exception as exc:
            # A commit whose answer was lost may have made the row.
            if not is_database_away(exc):
                await asyncio.shield(self.discard(keys))
            raise
        finally:
            renewal.cancel()

    async def finish(self, on: Connection, key: str) -> None:
        """Take back one announcement, in the transaction that makes the row.

        Raises:
            StorageUnavailable: It fell due meanwhile, and the object was deleted.
        """
        if not await self.finish_all(on, [key]):
            raise UploadInterrupted

    async def finish_all(self, on: Connection, keys: Sequence[str]) -> set[str]:
        """Take back announcements; return those that had not fallen due meanwhile."""
        return {row["key"] for row in await on.fetch(_FINISH, self._bucket, keys)}

    async def discard(self, keys: Sequence[str]) -> None:
        """Delete announced objects; those that have a row by now stay."""
        try:
            mine = await self._db.pool.fetch(_DISCARD, self._bucket, keys)
        except Exception as exc:
            if not is_database_away(exc):
                raise
            logger.warning("an object that nobody wants will be deleted later: %s", exc)
            return
        if mine:
            await self.delete([row["key"] for row in mine])

    async def retire(
        self,
        on: Connection,
        keys: Sequence[str],
        put_until: Sequence[datetime | None],
        uploads: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Decide to delete objects, in the transaction that removes what names them.

        Args:
            on: The transaction.
            keys: The objects.
            put_until: For each the time until which somebody holds a URL to put it (again).
            uploads: The ids of their unfinished multipart uploads, by key.
        """
        await on.execute(_RETIRE, self._bucket, list(keys), list(put_until), list(uploads))

    async def delete(
        self, keys: Sequence[str], uploads: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Delete retired objects and uploads after the commit; what fails now is done later."""
        try:
            for key in keys:
                if key in uploads:
                    await self._objects.uploads.abort(key, uploads[key])
            await self._objects.delete(keys)
            await self._db.pool.execute(_REMOVE_FINAL, self._bucket, list(keys))
        except StorageUnavailable:
            logger.warning("%d objects will be deleted later", len(keys))
        except Exception as exc:
            if not is_database_away(exc):
                raise
            logger.warning("%d objects will be deleted again: %s", len(keys), exc)

    async def _renew(self, keys: Sequence[str]) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self._db.pool.execute(_RENEW, self._bucket, keys)
            except Exception as exc:
                if not is_database_away(exc):
                    raise
                logger.warning("the journal of an upload was not renewed: %s", exc)


async def known(db: Database, bucket: str, keys: Collection[str]) -> set[str]:
    """Return those of the keys that have an entry."""
    return {row["key"] for row in await db.pool.fetch(_KNOWN, bucket, list(keys))}


async def awaited(db: Database, bucket: str, keys: Collection[str]) -> set[str]:
    """Return those of the keys that somebody is putting."""
    return {row["key"] for row in await db.pool.fetch(_AWAITED, bucket, list(keys))}


async def count_due(db: Database) -> int:
    """Return how many entries have fallen due."""
    count: int = await db.pool.fetchval(_COUNT_DUE)
    return count


async def work_off(db: Database, storage: Storage) -> int:
    """Delete what has fallen due; return how many objects. Replicas share the work."""
    done = 0
    while entries := await db.pool.fetch(_CLAIM):
        try:
            for bucket in ("assets", "temp"):
                done += await _delete_due(db, storage, bucket, entries)
        except StorageUnavailable:
            logger.warning("storage is away: what is due will be deleted later")
            break
    return done


async def _delete_due(
    db: Database, storage: Storage, bucket: str, entries: Sequence[asyncpg.Record]
) -> int:
    mine = [entry for entry in entries if entry["bucket"] == bucket]
    if not mine:
        return 0
    objects = storage.by_name(bucket)
    for entry in mine:
        if entry["op"] == "abort":
            await objects.uploads.abort_all(entry["key"])
    keys = [entry["key"] for entry in mine]
    await objects.delete(keys)
    await db.pool.execute(_REMOVE, bucket, keys)
    return len(keys)
