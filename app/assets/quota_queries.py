"""Statements on the byte counts of users' assets."""

from __future__ import annotations

from typing import NamedTuple

from app.database.statement import Connection, Executor, Query, Scalar, Statement


class CountedBytes(NamedTuple):
    """User whose byte count was compared; `missing` bytes must be added to the count."""

    user_id: str
    missing: int


_USED = Scalar(
    "select coalesce(sum(bytes), 0)::bigint from asset_bytes where user_id = :user_id", int
)
_LOCK = Statement(
    "select pg_advisory_xact_lock(hashtextextended('asset bytes of ' || :user_id, 0))"
)
_OPEN_UPLOADS = Scalar(
    """
select count(*) from (
  select from assets where user_id = :user_id and status = 'pending' limit :limit) pending""",
    int,
)
# One statement, so that counts and rows are read in one snapshot.
_COMPARE = Query(
    """
select u.id as user_id, coalesce(a.size, 0) - coalesce(b.bytes, 0) as missing
from (select id from users where id > :after order by id limit :limit) u
cross join lateral (select sum(size)::bigint as size from assets where user_id = u.id) a
cross join lateral (select sum(bytes)::bigint as bytes from asset_bytes where user_id = u.id) b""",
    CountedBytes,
)
_CORRECT = Statement(
    """
insert into asset_bytes values (:user_id, 0, :missing)
on conflict (user_id, slot) do update set bytes = asset_bytes.bytes + excluded.bytes"""
)


async def used(on: Executor, user_id: str) -> int:
    """Return the byte count of a user's assets; pending ones count with their declared size."""
    return await _USED.value(on, user_id=user_id) or 0


async def lock(on: Connection, user_id: str) -> None:
    """Lock the byte count of a user until the end of the transaction."""
    await _LOCK.execute(on, user_id=user_id)


async def open_uploads(on: Executor, user_id: str, *, limit: int) -> int:
    """Return the number of a user's pending assets, counted up to a limit."""
    return await _OPEN_UPLOADS.value(on, user_id=user_id, limit=limit) or 0


async def compare(on: Executor, *, after: str, limit: int) -> list[CountedBytes]:
    """Compare the byte counts of the next users, in the order of ids, with their assets."""
    return await _COMPARE.all(on, after=after, limit=limit)


async def correct(on: Executor, counted: CountedBytes) -> None:
    """Correct the byte count of a user."""
    await _CORRECT.execute(on, user_id=counted.user_id, missing=counted.missing)
