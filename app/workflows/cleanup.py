"""What is left of the workflows of a user who was deleted."""

from __future__ import annotations

from app.database.engine import Database

_DELETE = """
delete from workflows where id in (select id from workflows where user_id = $1 limit $2)
returning id"""


async def delete_all_of(db: Database, user_id: str, *, limit: int) -> int:
    """Remove some of a user's workflows with all their versions; return how many."""
    return len(await db.pool.fetch(_DELETE, user_id, limit))
