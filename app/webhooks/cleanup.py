"""Deliveries whose time is over: those of a job are kept as long as its events."""

from __future__ import annotations

from datetime import timedelta

from app.database.engine import Database

# An id begins with the milliseconds of its creation.
_OLD = """
from webhook_deliveries
where id < lpad(to_hex((extract(epoch from now() - $1::interval) * 1000)::bigint), 12, '0')
  and next_attempt_at is null"""
_COUNT = f"select count(*) {_OLD}"
_REMOVE = f"""
delete from webhook_deliveries where id in (select id {_OLD} order by id limit $2) returning id"""


async def count_old(db: Database, older_than: timedelta) -> int:
    """How many deliveries that are over are older than that."""
    count: int = await db.pool.fetchval(_COUNT, older_than)
    return count


async def remove_old(db: Database, older_than: timedelta, *, limit: int) -> int:
    """Remove some of them; return how many."""
    return len(await db.pool.fetch(_REMOVE, older_than, limit))
