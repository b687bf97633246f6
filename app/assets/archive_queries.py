"""Statements on the assets of an archive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from app.database.statement import Executor, Query


class ArchiveAsset(NamedTuple):
    """Row of a file or folder of an archive."""

    id: str
    parent_id: str | None
    name: str
    content_type: str
    version: str | None
    size: int
    status: str
    created_at: datetime


class AssetVersion(NamedTuple):
    """Current version of an asset's bytes."""

    id: str
    version: str
    size: int


_TREES = Query(
    """
with recursive tree as (
  select id from assets where id = any(:ids) and user_id = :user_id
  union select a.id from assets a join tree on a.parent_id = tree.id)
select id, parent_id, name, content_type, version, size, status, created_at
from assets join tree using (id) order by id limit :limit""",
    ArchiveAsset,
)
_READY_VERSION = Query(
    "select id, version, size from assets where id = :asset_id and status = 'ready'", AssetVersion
)


async def trees(
    on: Executor, ids: Sequence[str], *, user_id: str, limit: int
) -> list[ArchiveAsset]:
    """Return the user's assets among the ids, and all assets below them, in the order of ids."""
    return await _TREES.all(on, ids=ids, user_id=user_id, limit=limit)


async def ready_version(on: Executor, asset_id: str) -> AssetVersion | None:
    """Return the current version of an asset's bytes; None if the asset is not ready."""
    return await _READY_VERSION.one(on, asset_id=asset_id)
