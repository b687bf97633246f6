"""Statements on thumbnails."""

from __future__ import annotations

from typing import NamedTuple

from app.database.statement import Connection, Executor, Query, Scalar, Statement


class ThumbnailRecord(NamedTuple):
    """Key and size in bytes of a thumbnail's object."""

    key: str
    bytes: int


_FIND = Query(
    "select key, bytes from asset_thumbnails where asset_id = :asset_id and size = :size",
    ThumbnailRecord,
)
_LOCK_VERSION = Scalar(
    "select true from assets where id = :asset_id and version = :version for no key update", bool
)
_INSERT = Statement(
    """
insert into asset_thumbnails (asset_id, size, key, bytes) values (:asset_id, :size, :key, :bytes)
on conflict do nothing"""
)
_SET_DEFAULT = Statement("update assets set thumb_key = :key where id = :asset_id")
_DELETE = Statement("delete from asset_thumbnails where key = :key")
_UNSET_DEFAULT = Statement(
    "update assets set thumb_key = null where id = :asset_id and thumb_key = :key"
)


async def find(on: Executor, asset_id: str, size: int) -> ThumbnailRecord | None:
    """Return the thumbnail of an asset that fits a square of `size` pixels."""
    return await _FIND.one(on, asset_id=asset_id, size=size)


async def lock_version(on: Connection, asset_id: str, version: str | None) -> bool:
    """Lock an asset until the end of the transaction; return False if its bytes were replaced.

    The lock prevents concurrent replacements of the bytes and insertions of thumbnails.
    """
    return await _LOCK_VERSION.value(on, asset_id=asset_id, version=version) is not None


async def insert(on: Connection, asset_id: str, size: int, thumbnail: ThumbnailRecord) -> bool:
    """Insert a thumbnail; return False if the asset has one of this size."""
    count = await _INSERT.execute(on, asset_id=asset_id, size=size, **thumbnail._asdict())
    return count > 0


async def set_default(on: Connection, asset_id: str, key: str) -> None:
    """Set the default thumbnail of an asset, whose URL is in responses."""
    await _SET_DEFAULT.execute(on, asset_id=asset_id, key=key)


async def delete(on: Connection, asset_id: str, key: str) -> None:
    """Delete the row of a thumbnail, also as the default thumbnail of the asset."""
    await _UNSET_DEFAULT.execute(on, asset_id=asset_id, key=key)
    await _DELETE.execute(on, key=key)
