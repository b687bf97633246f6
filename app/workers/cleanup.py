"""Removal of the workers of deleted users."""

from __future__ import annotations

from app.database.engine import Database
from app.workers import queries


async def are_left(db: Database, user_id: str) -> bool:
    """Return whether a user still has workers, which run jobs of other users."""
    return await queries.has_workers(db.pool, user_id)
