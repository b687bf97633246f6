"""Statements on the assets of an archive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from app.database.statement import Executor, Query, Scalar


class ArchiveAsset(NamedTuple):
    """Row of a file or folder of an archive."""

    id: str
    parent_id: str | None
    name: str
    content_type: str
    version: str | None
    size: int
    sha256: str | None
    object_etag: str | None
    status: str
    created_at: datetime


_COLUMNS = ", ".join(ArchiveAsset._fields)
_TREE_IDS = Scalar(
    """
with recursive tree as (
  select id from assets where id = any(:ids) and user_id = :user_id
  union select a.id from assets a join tree on a.parent_id = tree.id)
select id from tree order by id limit :limit""",
    str,
)
_GET = Query(f"select {_COLUMNS} from assets where id = any(:ids) order by id", ArchiveAsset)
_GET_READY = Query(
    f"select {_COLUMNS} from assets where id = :asset_id and status = 'ready'", ArchiveAsset
)


async def tree_ids(on: Executor, ids: Sequence[str], *, user_id: str, limit: int) -> list[str]:
    """Return the ids of the user's assets among the ids, and of all assets below them, in order."""
    return await _TREE_IDS.values(on, ids=ids, user_id=user_id, limit=limit)


async def get(on: Executor, ids: Sequence[str]) -> list[ArchiveAsset]:
    """Return assets, in the order of ids."""
    return await _GET.all(on, ids=ids)


async def get_ready(on: Executor, asset_id: str) -> ArchiveAsset | None:
    """Return an asset; None if it is not ready."""
    return await _GET_READY.one(on, asset_id=asset_id)
