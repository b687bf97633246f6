"""What is left of temporary files: rows whose time is over, and what storage should have."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from app.database.engine import Database
from app.database.statement import Connection
from app.storage import Journal, Storage

_OF_JOBS = """
select id, job_id from temp_files
where job_id is not null and id > $1 and created_at < now() - $2::interval order by id limit $3"""
_EXTEND = """
update temp_files set expires_at = now() + 2 * $2::interval
where id = any($1) and expires_at < now() + $2::interval returning id"""
_EXPIRE = "update temp_files set expires_at = now() where id = any($1) and expires_at > now()"
_WOULD_EXTEND = """
select id from temp_files where id = any($1) and expires_at < now() + $2::interval"""
_EXPIRED = """
select id from temp_files where expires_at <= now() order by expires_at limit $1"""
_EXPIRED_COUNT = "select count(*) from temp_files where expires_at <= now()"
_REMOVE_EXPIRED = """
delete from temp_files where id = any($1) and expires_at <= now() returning id, put_until"""
_OF_USER = "select id from temp_files where user_id = $1 limit $2"
_REMOVE = "delete from temp_files where id = any($1) returning id, put_until"
_NAMED = "select id from temp_files where id = any($1)"
_STORED = """
select id from temp_files
where id > $1 and ($2::text is null or id <= $2) and is_stored
  and created_at < now() - $3::interval and expires_at > now()
order by id limit $4"""


@dataclass(frozen=True, slots=True)
class JobFile:
    """A temporary file that lives as long as its job's events."""

    id: str
    job_id: str


async def of_jobs(db: Database, *, after: str, older_than: timedelta, limit: int) -> list[JobFile]:
    """Return files that jobs made, by id."""
    rows = await db.pool.fetch(_OF_JOBS, after, older_than, limit)
    return [JobFile(**row) for row in rows]


async def keep(db: Database, ids: Sequence[str], *, margin: timedelta, dry: bool) -> int:
    """Give files more time whose time would be over within `margin`; return how many."""
    return len(await db.pool.fetch(_WOULD_EXTEND if dry else _EXTEND, ids, margin))


async def expire(db: Database, ids: Sequence[str]) -> None:
    """End the time of files."""
    await db.pool.execute(_EXPIRE, ids)


async def count_expired(db: Database) -> int:
    """Return how many files have had their time."""
    count: int = await db.pool.fetchval(_EXPIRED_COUNT)
    return count


async def remove_expired(db: Database, storage: Storage, *, limit: int) -> int:
    """Remove some of the files that have had their time; return how many."""
    ids = [row["id"] for row in await db.pool.fetch(_EXPIRED, limit)]
    return await _remove(db, storage, _REMOVE_EXPIRED, ids)


async def remove(db: Database, storage: Storage, ids: Sequence[str]) -> int:
    """Remove files, expired or not; return how many."""
    return await _remove(db, storage, _REMOVE, ids)


async def delete_all_of(db: Database, storage: Storage, user_id: str, *, limit: int) -> int:
    """Remove some of a user's files; return how many."""
    ids = [row["id"] for row in await db.pool.fetch(_OF_USER, user_id, limit)]
    return await _remove(db, storage, _REMOVE, ids)


async def named(db: Database, keys: Collection[str]) -> set[str]:
    """Return those of the keys that a row names."""
    return {row["id"] for row in await db.pool.fetch(_NAMED, list(keys))}


async def stored(
    db: Database, *, after: str, last: str | None, older_than: timedelta, limit: int
) -> list[str]:
    """Return the keys, from `after` to `last`, whose objects storage should have."""
    rows = await db.pool.fetch(_STORED, after, last, older_than, limit)
    return [row["id"] for row in rows]


async def _remove(db: Database, storage: Storage, statement: str, ids: Sequence[str]) -> int:
    if not ids:
        return 0
    journal = Journal(db, storage, "temp")
    async with db.transaction() as on:
        gone = await _gone(on, statement, ids)
        keys = [row["id"] for row in gone]
        await journal.retire(on, keys, [row["put_until"] for row in gone])
    await journal.delete(keys)
    return len(keys)


async def _gone(on: Connection, statement: str, ids: Sequence[str]) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await on.fetch(statement, ids)
    return rows
