"""Service of assets: get, list, update, delete.

No transaction is open during a request to storage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import orjson

from app.assets import page_queries, queries
from app.assets.archive_queries import ArchiveAsset
from app.assets.deletion import RetiredObjects, retire_objects
from app.assets.errors import (
    AssetCorrupt,
    AssetNotFound,
    FolderNotEmpty,
    InvalidAsset,
    InvalidParent,
    MoveBelowItself,
    NoContent,
    UploadIncomplete,
)
from app.assets.filters import AssetFilters
from app.assets.folders import check_parent
from app.assets.object_keys import key_of
from app.assets.queries import AssetRecord, ContentRecord
from app.database.engine import Database
from app.database.statement import Connection
from app.http import pagination
from app.http.etags import check_if_match, etag_of
from app.http.json_limits import check_metadata
from app.http.pagination import Page
from app.http.stored_content import Content
from app.runtime.ids import is_id
from app.storage import Bucket, Journal
from processing_context.wire.assets import FOLDER, AssetUpdate

DELETED_AT_ONCE = 1000
_DELETE_ATTEMPTS = 3


class AssetService:
    """Reads, updates and deletes assets of users."""

    def __init__(
        self, db: Database, bucket: Bucket, journal: Journal, *, max_metadata_bytes: int
    ) -> None:
        self._db = db
        self._bucket = bucket
        self._journal = journal
        self._max_metadata_bytes = max_metadata_bytes

    async def get(self, user_id: str, asset_id: str) -> AssetRecord:
        """Return one asset.

        Raises:
            AssetNotFound: It does not exist, or it belongs to another user.
        """
        asset = None
        if is_id(asset_id):
            asset = await queries.get(self._db.pool, asset_id, user_id=user_id)
        if asset is None:
            raise AssetNotFound(asset_id)
        return asset

    async def get_many(self, user_id: str, asset_ids: Sequence[str]) -> Sequence[AssetRecord]:
        """Return the assets of a user among the ids, in any order."""
        wanted = [asset_id for asset_id in asset_ids if is_id(asset_id)]
        return await queries.get_many(self._db.pool, wanted, user_id=user_id) if wanted else []

    async def get_contents(self, user_id: str, asset_ids: Sequence[str]) -> Sequence[ContentRecord]:
        """Return what URLs for the bytes of assets depend on, as `get_many` does."""
        wanted = [asset_id for asset_id in asset_ids if is_id(asset_id)]
        return await queries.get_contents(self._db.pool, wanted, user_id=user_id) if wanted else []

    async def page(
        self, user_id: str, page: Page, filters: AssetFilters
    ) -> tuple[Sequence[AssetRecord], str | None]:
        """Return a page of assets, newest first, and the next cursor."""
        ids = (filters.parent_id, filters.workflow_id, filters.job_id)
        # No row matches a malformed id or a NUL, which PostgreSQL would reject.
        if any(id_ and not is_id(id_) for id_ in ids) or "\x00" in (
            f"{filters.content_type}{filters.q}"
        ):
            return [], None
        listed = await page_queries.page(
            self._db.pool, filters, user_id=user_id, after=page.after, size=page.size
        )
        return listed.rows, pagination.next_cursor(listed)

    def content(self, asset: AssetRecord) -> Content:
        """Return the content of an asset, for a file response.

        Raises:
            NoContent: The asset is a folder.
            UploadIncomplete: The bytes have not been uploaded.
            AssetCorrupt: The bytes do not match their declared SHA-256, or are lost.
        """
        check_readable(asset)
        return content_of(self._bucket, asset)

    async def update(
        self, user_id: str, asset_id: str, change: AssetUpdate, *, if_match: str | None
    ) -> AssetRecord:
        """Update the fields that are set in `change`.

        Raises:
            AssetNotFound: It does not exist, or it belongs to another user.
            PreconditionFailed: The asset has another ETag than `if_match`.
            InvalidParent: The new parent is not a folder of the user.
            MoveBelowItself: The new parent is the folder itself, or below it.
            InvalidAsset: The change would turn a folder into a file, or a file into a folder.
            MetadataTooLarge: The new metadata exceed the limit.
        """
        given = change.model_dump(exclude_unset=True)
        async with self._db.transaction() as on:
            if "parent_id" in given:
                await queries.lock_trees(on, user_id)
            asset = await lock(on, user_id, asset_id)
            check_if_match(if_match, etag(asset))
            if not given:
                return asset
            if "metadata" in given and given["metadata"] != orjson.loads(asset.metadata):
                check_metadata("metadata", given["metadata"], self._max_metadata_bytes)
            is_folder = given.get("content_type", asset.content_type) == FOLDER
            if is_folder != (asset.content_type == FOLDER):
                raise InvalidAsset("A folder cannot become a file, nor a file a folder.")
            if given.get("parent_id") is not None:
                await check_parent(on, user_id, given["parent_id"])
                if await queries.is_within(on, given["parent_id"], asset_id):
                    raise MoveBelowItself
            return await _update(on, asset, given)

    async def delete(
        self, user_id: str, asset_id: str, *, if_match: str | None, recursive: bool
    ) -> None:
        """Delete an asset and its bytes.

        Raises:
            AssetNotFound: It does not exist, or it belongs to another user.
            PreconditionFailed: The asset has another ETag than `if_match`.
            FolderNotEmpty: The asset is a folder that is not empty, and `recursive` is false.
        """
        is_folder = (await self.get(user_id, asset_id)).content_type == FOLDER
        for attempt in range(_DELETE_ATTEMPTS):
            try:
                retired = await self._delete_rows(
                    user_id, asset_id, if_match, is_folder=is_folder, recursive=recursive
                )
            except asyncpg.ForeignKeyViolationError:
                # An asset was concurrently added to the folder.
                if not recursive or attempt == _DELETE_ATTEMPTS - 1:
                    raise FolderNotEmpty from None
            else:
                break
        # In a large tree, the other objects are deleted when their journal entries are due.
        if retired.keys:
            await self._journal.delete(retired.keys[:DELETED_AT_ONCE], retired.uploads)

    async def _delete_rows(
        self, user_id: str, asset_id: str, if_match: str | None, *, is_folder: bool, recursive: bool
    ) -> RetiredObjects:
        async with self._db.transaction() as on:
            if is_folder:
                await queries.lock_trees(on, user_id)
            asset = await lock(on, user_id, asset_id)
            check_if_match(if_match, etag(asset))
            if is_folder and not recursive and await queries.has_children(on, asset_id):
                raise FolderNotEmpty
            deleted = await queries.delete_tree(on, asset_id)
            return await retire_objects(on, self._journal, deleted)


async def lock(on: Connection, user_id: str, asset_id: str) -> AssetRecord:
    """Return one asset, and lock it until the end of the transaction.

    Raises:
        AssetNotFound: It does not exist, or it belongs to another user.
    """
    asset = await queries.lock(on, asset_id, user_id=user_id) if is_id(asset_id) else None
    if asset is None:
        raise AssetNotFound(asset_id)
    return asset


async def _update(on: Connection, asset: AssetRecord, given: Mapping[str, Any]) -> AssetRecord:
    try:
        return await queries.update(
            on,
            asset.id,
            name=given.get("name", asset.name),
            parent_id=given.get("parent_id", asset.parent_id),
            content_type=given.get("content_type", asset.content_type),
            metadata=given.get("metadata"),
        )
    except asyncpg.ForeignKeyViolationError:
        raise InvalidParent from None


def etag(asset: AssetRecord) -> str:
    """Return the ETag of an asset, which covers its editable fields and its bytes."""
    return etag_of(asset.name, asset.parent_id, asset.metadata, asset.content_type, asset.version)


def content_of(bucket: Bucket, asset: AssetRecord | ArchiveAsset) -> Content:
    """Return the content of an asset that has readable bytes."""
    return Content(
        bucket=bucket,
        key=key_of(asset),
        size=asset.size,
        content_type=asset.content_type,
        etag=f'"{asset.version}"',
        name=asset.name,
        sha256=asset.sha256,
        object_etag=asset.object_etag,
    )


def check_readable(asset: AssetRecord) -> None:
    """Check that an asset has bytes that can be read.

    Raises:
        NoContent: The asset is a folder.
        UploadIncomplete: The bytes have not been uploaded.
        AssetCorrupt: The bytes do not match their declared SHA-256, or are lost.
    """
    if asset.content_type == FOLDER:
        raise NoContent
    if asset.status == "pending":
        raise UploadIncomplete
    if asset.status == "corrupt":
        raise AssetCorrupt
