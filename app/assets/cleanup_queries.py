"""Statements of the cleanup of assets and of their objects."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from app.assets.object_keys import split_key
from app.assets.queries import DeletedAsset
from app.database.statement import Connection, Executor, Query, Scalar, Statement

_ABANDONED = """
status = 'pending' and created_at < now() - :older_than::interval
and (put_until is null or put_until < now())"""
_ABANDONED_IDS = Scalar(f"select id from assets where {_ABANDONED} order by id limit :limit", str)
_COUNT_ABANDONED = Scalar(f"select count(*) from assets where {_ABANDONED}", int)
_DELETE_ABANDONED = Query(
    f"""
delete from assets where id = any(:ids) and {_ABANDONED}
returning id, version, put_until, upload_id""",
    DeletedAsset,
)
_OF_USER = Scalar("select id from assets where user_id = :user_id order by id limit :limit", str)
_MOVE_CHILDREN_TO_TOP = Statement("update assets set parent_id = null where parent_id = any(:ids)")
_DELETE = Query(
    "delete from assets where id = any(:ids) returning id, version, put_until, upload_id",
    DeletedAsset,
)
_OF_ASSETS = """
select key from unnest(:keys::text[], :ids::text[], :versions::text[]) as k (key, id, version)
join assets a on a.id = k.id and a.version = k.version"""
_KNOWN = Scalar(
    f"{_OF_ASSETS} union all select key from asset_thumbnails where key = any(:keys)", str
)
_PENDING = Scalar(f"{_OF_ASSETS} where a.status = 'pending'", str)
_STORED = Scalar(
    """
select id || '/' || version as key from assets
where id > :after and id <= coalesce(:last, 'g') and status = 'ready'
  and version is not null and updated_at < now() - :older_than::interval
order by id limit :limit""",
    str,
)
_STORED_THUMBNAILS = Scalar(
    """
select key from asset_thumbnails
where key > :after and key <= coalesce(:last, 'g') order by key limit :limit""",
    str,
)
_DELETE_THUMBNAIL = Statement(
    """
with deleted as (delete from asset_thumbnails where key = :key returning asset_id)
update assets set thumb_key = null from deleted where id = deleted.asset_id and thumb_key = :key"""
)
_MARK_LOST = Statement(
    """
update assets set status = 'corrupt', sha256_due = null, updated_at = now()
where id = :asset_id and version = :version and status = 'ready'"""
)


async def abandoned(on: Executor, *, older_than: timedelta, limit: int) -> list[str]:
    """Return the ids of uploads that were not completed in time."""
    return await _ABANDONED_IDS.values(on, older_than=older_than, limit=limit)


async def count_abandoned(on: Executor, *, older_than: timedelta) -> int:
    """Return the number of uploads that were not completed in time."""
    return await _COUNT_ABANDONED.value(on, older_than=older_than) or 0


async def delete_abandoned(
    on: Connection, ids: Sequence[str], *, older_than: timedelta
) -> list[DeletedAsset]:
    """Delete the assets among the ids whose uploads were not completed in time."""
    return await _DELETE_ABANDONED.all(on, ids=ids, older_than=older_than)


async def of_user(on: Executor, user_id: str, *, limit: int) -> list[str]:
    """Return the ids of at most `limit` assets of a user."""
    return await _OF_USER.values(on, user_id=user_id, limit=limit)


async def move_children_to_top(on: Executor, folder_ids: Sequence[str]) -> None:
    """Move the direct contents of folders to the top level."""
    await _MOVE_CHILDREN_TO_TOP.execute(on, ids=folder_ids)


async def delete(on: Connection, ids: Sequence[str]) -> list[DeletedAsset]:
    """Delete assets."""
    return await _DELETE.all(on, ids=ids)


async def known(on: Executor, keys: Collection[str]) -> list[str]:
    """Return the keys that belong to the row of an asset or of a thumbnail."""
    return await _KNOWN.values(on, **_split(keys))


async def pending(on: Executor, keys: Collection[str]) -> list[str]:
    """Return the keys that belong to pending assets."""
    return await _PENDING.values(on, **_split(keys))


def _split(keys: Collection[str]) -> dict[str, list[str]]:
    split = [split_key(key) for key in keys]
    return {
        "keys": list(keys),
        "ids": [asset_id for asset_id, _ in split],
        "versions": [version for _, version in split],
    }


async def stored(
    on: Executor, *, after: str, last: str | None, older_than: timedelta, limit: int
) -> list[str]:
    """Return keys of assets whose objects must exist; a `KeyListing`."""
    last_id = None if last is None else split_key(last)[0]
    return await _STORED.values(
        on, after=split_key(after)[0], last=last_id, older_than=older_than, limit=limit
    )


async def stored_thumbnails(
    on: Executor,
    *,
    after: str,
    last: str | None,
    older_than: timedelta,  # noqa: ARG001  # thumbnail rows are inserted after the object is stored
    limit: int,
) -> list[str]:
    """Return keys of thumbnails, whose objects must exist; a `KeyListing`."""
    return await _STORED_THUMBNAILS.values(on, after=after, last=last, limit=limit)


async def delete_thumbnail(on: Executor, key: str) -> None:
    """Delete the row of a thumbnail, also where it is the default thumbnail of its asset."""
    await _DELETE_THUMBNAIL.execute(on, key=key)


async def mark_lost(on: Executor, asset_id: str, version: str) -> bool:
    """Mark an asset without an object as corrupt; return False if its bytes were replaced."""
    return await _MARK_LOST.execute(on, asset_id=asset_id, version=version) > 0
