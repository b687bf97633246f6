"""What is left of assets: uploads that nobody finished, and what storage should have."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import timedelta

from app.assets.presigned_urls import key_of, uploads_of
from app.database.engine import Database
from app.storage import Journal, Storage

logger = logging.getLogger(__name__)

_ABANDONED = """
status = 'pending' and created_at < now() - $1::interval
and (put_until is null or put_until < now())"""
_ABANDONED_IDS = f"select id from assets where {_ABANDONED} order by id limit $2"
_ABANDONED_COUNT = f"select count(*) from assets where {_ABANDONED}"
_GIVE_UP = f"""
delete from assets where id = any($2) and {_ABANDONED}
returning id, version, put_until, upload_id"""
_OF_USER = "select id from assets where user_id = $1 order by id limit $2"
_TO_TOP = "update assets set parent_id = null where parent_id = any($1)"
_REMOVE = """
delete from assets where id = any($1) returning id, version, put_until, upload_id"""
_OF_ASSETS = """
select key from unnest($1::text[], $2::text[], $3::text[]) as k (key, id, version)
join assets a on a.id = k.id and a.version = k.version"""
_NAMED = f"{_OF_ASSETS} union all select key from asset_thumbnails where key = any($1)"
_AWAITED = f"{_OF_ASSETS} where a.status = 'pending'"
_STORED = """
select id || '/' || version as key from assets
where id > $1 and ($2::text is null or id <= $2) and status = 'ready' and version is not null
  and updated_at < now() - $3::interval
order by id limit $4"""
_STORED_THUMBNAILS = """
select key from asset_thumbnails
where key > $1 and ($2::text is null or key <= $2) order by key limit $3"""
_FORGET_THUMBNAIL = """
with gone as (delete from asset_thumbnails where key = $1 returning asset_id)
update assets set thumb_key = null from gone where id = gone.asset_id and thumb_key = $1"""
_MARK_LOST = """
update assets set status = 'corrupt', sha256_due = null, updated_at = now()
where id = $1 and version = $2 and status = 'ready' returning 1"""
# One statement, so one snapshot: the count and the rows belong together.
_MISCOUNTED = """
select u.id, coalesce(a.size, 0) - coalesce(b.bytes, 0) as missing
from (select id from users where id > $1 order by id limit $2) u
cross join lateral (select sum(size)::bigint as size from assets where user_id = u.id) a
cross join lateral (select sum(bytes)::bigint as bytes from asset_bytes where user_id = u.id) b"""
_CORRECT = """
insert into asset_bytes values ($1, 0, $2)
on conflict (user_id, slot) do update set bytes = asset_bytes.bytes + excluded.bytes"""


async def count_abandoned(db: Database, *, older_than: timedelta) -> int:
    """Return how many reserved uploads nobody has finished in time."""
    count: int = await db.pool.fetchval(_ABANDONED_COUNT, older_than)
    return count


async def give_up(db: Database, storage: Storage, *, older_than: timedelta, limit: int) -> int:
    """Remove some of the reserved uploads that nobody has finished in time; return how many."""
    ids = [row["id"] for row in await db.pool.fetch(_ABANDONED_IDS, older_than, limit)]
    return await _remove(db, storage, _GIVE_UP, older_than, ids) if ids else 0


async def delete_all_of(db: Database, storage: Storage, user_id: str, *, limit: int) -> int:
    """Remove some of a user's assets; return how many."""
    ids = [row["id"] for row in await db.pool.fetch(_OF_USER, user_id, limit)]
    if not ids:
        return 0
    # Nobody sees his folders any more; what is in them may come later than they.
    await db.pool.execute(_TO_TOP, ids)
    return await _remove(db, storage, _REMOVE, ids)


async def _remove(db: Database, storage: Storage, statement: str, *args: object) -> int:
    journal = Journal(db, storage, "assets")
    async with db.transaction() as on:
        gone = await on.fetch(statement, *args)
        files = [row for row in gone if row["version"] is not None]
        keys, uploads = [key_of(row) for row in files], uploads_of(files)
        await journal.retire(on, keys, [row["put_until"] for row in files], uploads)
    await journal.delete(keys, uploads)
    return len(gone)


async def named(db: Database, keys: Collection[str]) -> set[str]:
    """Return those of the keys that a row names, as bytes or as a thumbnail."""
    return {row["key"] for row in await db.pool.fetch(_NAMED, *_columns(keys))}


async def awaited(db: Database, keys: Collection[str]) -> set[str]:
    """Return those of the keys to which somebody may still be putting parts."""
    return {row["key"] for row in await db.pool.fetch(_AWAITED, *_columns(keys))}


def _columns(keys: Collection[str]) -> tuple[list[str], list[str], list[str]]:
    split = [key.split("/") for key in keys]
    return list(keys), [parts[0] for parts in split], [parts[1] for parts in split]


async def stored(
    db: Database, *, after: str, last: str | None, older_than: timedelta, limit: int
) -> list[str]:
    """Return the keys, from `after` to `last`, whose objects storage should have."""
    until = None if last is None else last.partition("/")[0]
    rows = await db.pool.fetch(_STORED, after.partition("/")[0], until, older_than, limit)
    return [row["key"] for row in rows]


async def stored_thumbnails(db: Database, *, after: str, last: str | None, limit: int) -> list[str]:
    """Return the keys, from `after` to `last`, of thumbnails; their rows come after the objects."""
    rows = await db.pool.fetch(_STORED_THUMBNAILS, after, last, limit)
    return [row["key"] for row in rows]


async def lose(db: Database, keys: Sequence[str]) -> int:
    """Say of assets that their bytes are gone, and forget thumbnails; return how many keys."""
    for key in keys:
        asset_id, _, version = key.partition("/")
        if await db.pool.fetchval(_MARK_LOST, asset_id, version):
            logger.error("storage has lost the bytes of asset %s", asset_id)
        else:
            await db.pool.execute(_FORGET_THUMBNAIL, key)
    return len(keys)


async def recount(db: Database, *, after: str, limit: int, dry: bool) -> tuple[int, str | None]:
    """Hold the count of some users' bytes against their assets, and correct it.

    Returns:
        How many were wrong, and the last user's id; None: there are no more.
    """
    rows = await db.pool.fetch(_MISCOUNTED, after, limit)
    wrong = [row for row in rows if row["missing"]]
    for row in wrong:
        logger.error("the count of bytes of user %s is off by %d", row["id"], row["missing"])
        if not dry:
            await db.pool.execute(_CORRECT, row["id"], row["missing"])
    return len(wrong), max(row["id"] for row in rows) if rows else None
