"""Check of the parent folder of an asset."""

from __future__ import annotations

from app.assets import queries
from app.assets.errors import InvalidParent
from app.database.statement import Executor
from app.runtime.ids import is_id


async def check_parent(on: Executor, user_id: str, parent_id: str | None) -> None:
    """Check that a parent is a folder of the user; None is the top level.

    Raises:
        InvalidParent: The parent is not a folder of the user.
    """
    if parent_id is None:
        return
    if not is_id(parent_id) or not await queries.folders_among(on, [parent_id], user_id=user_id):
        raise InvalidParent
