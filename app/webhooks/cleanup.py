"""Removal of old deliveries: those of a job are kept as long as its events."""

from __future__ import annotations

from datetime import timedelta

from app.database.engine import Database
from app.webhooks import queries


async def count_old(db: Database, older_than: timedelta) -> int:
    """Return how many settled deliveries are older than that."""
    return await queries.count_old(db.pool, older_than)


async def remove_old(db: Database, older_than: timedelta, *, limit: int) -> int:
    """Delete some of them; return how many."""
    return await queries.delete_old(db.pool, older_than, limit=limit)
