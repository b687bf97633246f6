"""Statements on assets and on trees of folders."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from app.database.statement import Connection, Executor, Query, Scalar, Statement
from processing_context.wire.assets import FOLDER


class AssetRecord(NamedTuple):
    """Row of a file or folder; `metadata` is JSON text."""

    id: str
    user_id: str
    parent_id: str | None
    workflow_id: str | None
    job_id: str | None
    node_id: str | None
    name: str
    content_type: str
    size: int
    sha256: str | None
    status: str
    metadata: str
    duration: float | None
    width: int | None
    height: int | None
    version: str | None
    put_until: datetime | None
    upload_id: str | None
    part_size: int | None
    sha256_due: datetime | None
    thumb_key: str | None
    object_etag: str | None
    created_at: datetime
    updated_at: datetime


class ContentRecord(NamedTuple):
    """The columns of an asset that a URL for its bytes depends on."""

    id: str
    version: str | None
    name: str
    content_type: str
    status: str


class NewAsset(NamedTuple):
    """Asset to insert.

    Attributes:
        put_ttl: The validity of a presigned URL to put the bytes; None if there is no such URL.
        object_etag: The ETag of the object in storage; None if it is not known yet.
        needs_media_metadata: Let a replica extract width, height and duration later.
    """

    id: str
    user_id: str
    parent_id: str | None
    workflow_id: str | None
    job_id: str | None
    node_id: str | None
    name: str
    content_type: str
    size: int
    sha256: str | None
    status: str
    metadata: dict[str, Any]
    version: str | None
    put_ttl: timedelta | None
    upload_id: str | None
    part_size: int | None
    object_etag: str | None
    needs_media_metadata: bool


class DeletedAsset(NamedTuple):
    """Columns of a deleted asset that are needed to delete its object and multipart upload."""

    id: str
    version: str | None
    put_until: datetime | None
    upload_id: str | None


# JSON is read as text: parsing and encoding it again would cost as much as the query.
COLUMNS = ", ".join(
    "metadata::text as metadata" if name == "metadata" else name for name in AssetRecord._fields
)
_OWN = "id = :asset_id and user_id = :user_id"
_GET = Query(f"select {COLUMNS} from assets where {_OWN}", AssetRecord)
_GET_MANY = Query(
    f"select {COLUMNS} from assets where id = any(:ids) and user_id = :user_id", AssetRecord
)
_GET_CONTENTS = Query(
    """
select id, version, name, content_type, status from assets
where id = any(:ids) and user_id = :user_id""",
    ContentRecord,
)
_LOCK = Query(f"select {COLUMNS} from assets where {_OWN} for update", AssetRecord)
_FOLDERS = Scalar(
    f"""
select id from assets
where id = any(:ids) and user_id = :user_id and content_type = '{FOLDER}'""",
    str,
)
_INSERT = Query(
    f"""
insert into assets (
    id, user_id, parent_id, workflow_id, job_id, node_id, name, search_name, content_type, size,
    sha256, status, metadata, version, put_until, upload_id, part_size, object_etag, facts_due)
values (
    :id, :user_id, :parent_id, :workflow_id, :job_id, :node_id, :name, :search_name, :content_type,
    :size, :sha256, :status, :metadata, :version, now() + :put_ttl::interval, :upload_id,
    :part_size, :object_etag, case when :needs_media_metadata::bool then now() end)
returning {COLUMNS}""",
    AssetRecord,
)
_UPDATE = Query(
    f"""
update assets
set name = :name, search_name = :search_name, parent_id = :parent_id,
    content_type = :content_type, metadata = coalesce(:metadata, metadata), updated_at = now()
where id = :asset_id returning {COLUMNS}""",
    AssetRecord,
)
_REPLACE_CONTENT = Query(
    f"""
update assets
set version = :version, size = :size, sha256 = :sha256, content_type = :content_type,
    status = 'ready', duration = null, width = null, height = null, put_until = null,
    part_size = null, sha256_due = null, thumb_key = null, object_etag = :object_etag,
    updated_at = now(),
    facts_due = case when :needs_media_metadata::bool then now() end
where id = :asset_id returning {COLUMNS}""",
    AssetRecord,
)
_MARK_READY = Query(
    f"""
update assets
set status = 'ready', upload_id = null, sha256 = coalesce(sha256, :sha256),
    object_etag = :object_etag, updated_at = now(),
    sha256_due = case when part_size is not null then now() end
where id = :asset_id and version = :version and status = 'pending' returning {COLUMNS}""",
    AssetRecord,
)
_EXTEND_PUT = Scalar(
    """
update assets set put_until = greatest(put_until, now() + :ttl::interval) where id = :asset_id
returning put_until""",
    datetime,
)
_HAS_CHILDREN = Scalar("select exists (select from assets where parent_id = :asset_id)", bool)
_IS_WITHIN = Scalar(
    """
with recursive above as (
  select id, parent_id from assets where id = :asset_id
  union all select a.id, a.parent_id from assets a join above on a.id = above.parent_id)
select exists (select from above where id = :folder_id)""",
    bool,
)
_LOCK_TREES = Statement(
    "select pg_advisory_xact_lock(hashtextextended('asset trees of ' || :user_id, 0))"
)
_DELETED = "id, version, put_until, upload_id"
_DELETE_TREE = Query(
    """
with recursive tree as (
  select id from assets where id = :asset_id
  union all select a.id from assets a join tree on a.parent_id = tree.id)
delete from assets using tree where assets.id = tree.id
returning assets.id, assets.version, assets.put_until, assets.upload_id""",
    DeletedAsset,
)
_DELETE_PENDING = Query(
    f"delete from assets where {_OWN} and status = 'pending' returning {_DELETED}", DeletedAsset
)


def search_name(name: str) -> str:
    """Return a name normalized for searches: NFKC, case-folded."""
    return unicodedata.normalize("NFKC", name).casefold()


async def get(on: Executor, asset_id: str, *, user_id: str) -> AssetRecord | None:
    """Return an asset of a user."""
    return await _GET.one(on, asset_id=asset_id, user_id=user_id)


async def get_many(on: Executor, ids: Sequence[str], *, user_id: str) -> list[AssetRecord]:
    """Return the assets of a user among the ids, in any order."""
    return await _GET_MANY.all(on, ids=ids, user_id=user_id)


async def get_contents(on: Executor, ids: Sequence[str], *, user_id: str) -> list[ContentRecord]:
    """Return what URLs for the bytes of a user's assets depend on, in any order."""
    return await _GET_CONTENTS.all(on, ids=ids, user_id=user_id)


async def lock(on: Connection, asset_id: str, *, user_id: str) -> AssetRecord | None:
    """Return an asset of a user, and lock it until the end of the transaction."""
    return await _LOCK.one(on, asset_id=asset_id, user_id=user_id)


async def folders_among(on: Executor, ids: Sequence[str], *, user_id: str) -> list[str]:
    """Return the ids that belong to folders of the user."""
    return await _FOLDERS.values(on, ids=ids, user_id=user_id)


async def insert(on: Connection, assets: Sequence[NewAsset]) -> list[AssetRecord]:
    """Insert assets in one round trip; return them in the same order.

    Raises:
        asyncpg.ForeignKeyViolationError: A parent or the user does not exist.
    """
    return await _INSERT.all_of_each(
        on, [{**asset._asdict(), "search_name": search_name(asset.name)} for asset in assets]
    )


async def update(
    on: Connection,
    asset_id: str,
    *,
    name: str,
    parent_id: str | None,
    content_type: str,
    metadata: dict[str, Any] | None,
) -> AssetRecord:
    """Update a locked asset; metadata of None are not changed.

    Raises:
        asyncpg.ForeignKeyViolationError: The parent does not exist.
    """
    return await _UPDATE.only(
        on,
        asset_id=asset_id,
        name=name,
        search_name=search_name(name),
        parent_id=parent_id,
        content_type=content_type,
        metadata=metadata,
    )


async def replace_content(
    on: Connection,
    asset_id: str,
    *,
    version: str,
    size: int,
    sha256: str,
    content_type: str,
    object_etag: str | None,
    needs_media_metadata: bool,
) -> AssetRecord:
    """Set a new version of the bytes of a locked asset."""
    return await _REPLACE_CONTENT.only(
        on,
        asset_id=asset_id,
        version=version,
        size=size,
        sha256=sha256,
        content_type=content_type,
        object_etag=object_etag,
        needs_media_metadata=needs_media_metadata,
    )


async def mark_ready(
    on: Executor, asset_id: str, *, version: str, sha256: str | None, object_etag: str | None
) -> AssetRecord | None:
    """Mark a pending asset as ready; return None if it is not pending any more.

    Args:
        on: The database.
        asset_id: The id of the asset.
        version: The version of the stored bytes.
        sha256: The SHA-256, unless the asset has a declared one.
        object_etag: The ETag of the object in storage.
    """
    return await _MARK_READY.one(
        on, asset_id=asset_id, version=version, sha256=sha256, object_etag=object_etag
    )


async def extend_put(on: Executor, asset_id: str, ttl: timedelta) -> datetime | None:
    """Extend the time in which the object may be put; return None if the asset was deleted."""
    return await _EXTEND_PUT.value(on, asset_id=asset_id, ttl=ttl)


async def has_children(on: Executor, folder_id: str) -> bool:
    """Return True if a folder is not empty."""
    return bool(await _HAS_CHILDREN.value(on, asset_id=folder_id))


async def is_within(on: Executor, asset_id: str, folder_id: str) -> bool:
    """Return True if an asset is the folder itself or anywhere below it."""
    return bool(await _IS_WITHIN.value(on, asset_id=asset_id, folder_id=folder_id))


async def lock_trees(on: Connection, user_id: str) -> None:
    """Lock the folder tree of a user until the end of the transaction.

    Moves and recursive deletions read more rows than they lock. They take this lock before they
    lock rows, to avoid deadlocks.
    """
    await _LOCK_TREES.execute(on, user_id=user_id)


async def delete_tree(on: Connection, asset_id: str) -> list[DeletedAsset]:
    """Delete an asset and everything below it.

    Raises:
        asyncpg.ForeignKeyViolationError: An asset was concurrently added to one of the folders.
    """
    return await _DELETE_TREE.all(on, asset_id=asset_id)


async def delete_pending(on: Connection, asset_id: str, *, user_id: str) -> DeletedAsset | None:
    """Delete an asset of a user if it is pending."""
    return await _DELETE_PENDING.one(on, asset_id=asset_id, user_id=user_id)
