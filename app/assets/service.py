"""Assets of one owner: find, list, edit, delete.

The service holds its own transactions, as bytes go between them: none is open while storage is
asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from app.assets import queries
from app.assets.errors import (
    AssetNotFound,
    FolderNotEmpty,
    InvalidAsset,
    InvalidParent,
    MoveBelowItself,
)
from app.assets.presigned_urls import key_of, uploads_of
from app.assets.queries import Row
from app.assets.schemas import asset_etag
from app.database.engine import Database, loads
from app.database.statement import Connection
from app.http.etags import check_if_match
from app.http.pagination import Page, encode_cursor
from app.runtime.ids import is_id
from app.storage import Journal, Storage
from processing_context.wire.assets import FOLDER, AssetUpdate

DELETED_AT_ONCE = 1000
_DELETE_ATTEMPTS = 3


class AssetService:
    """Assets of one owner."""

    def __init__(self, db: Database, storage: Storage, *, owner_id: str) -> None:
        self._db = db
        self._owner_id = owner_id
        self._journal = Journal(db, storage, "assets")

    async def get(self, asset_id: str) -> Row:
        """Return one asset.

        Raises:
            AssetNotFound: It does not exist or belongs to someone else.
        """
        return await find(self._db.pool, queries.ONE, asset_id, self._owner_id)

    async def many(self, ids: Sequence[str]) -> Sequence[Row]:
        """Return those of the ids that are assets of the owner."""
        wanted = [id_ for id_ in ids if is_id(id_)]
        return await queries.many(self._db.pool, wanted, user_id=self._owner_id) if wanted else []

    async def page(
        self, page: Page, filters: Mapping[str, str | bool | None]
    ) -> tuple[Sequence[Row], str | None]:
        """Return a page of assets, newest first, and the next cursor."""
        given = {name: value for name, value in filters.items() if value}
        ids = [given[name] for name in ("parent_id", "workflow_id", "job_id") if name in given]
        # What PostgreSQL cannot hold is equal to nothing.
        if any(not is_id(str(id_)) for id_ in ids) or "\x00" in "".join(map(str, given.values())):
            return [], None
        if page.after:
            given["after"] = page.after
        rows = await queries.page(self._db.pool, given, user_id=self._owner_id, limit=page.size + 1)
        if len(rows) <= page.size:
            return rows, None
        return rows[: page.size], encode_cursor(rows[page.size - 1]["id"])

    async def update(self, asset_id: str, change: AssetUpdate, if_match: str | None) -> Row:
        """Change what was given; a field left out stays.

        Raises:
            AssetNotFound: It does not exist or belongs to someone else.
            PreconditionFailed: `if_match` names another version.
            InvalidParent: The new parent is no folder of the owner.
            MoveBelowItself: The new parent is within the folder that moves.
            InvalidAsset: A folder is to become a file, or a file a folder.
        """
        given = change.model_dump(exclude_unset=True)
        async with self._db.transaction() as on:
            if "parent_id" in given:
                await on.execute(queries.LOCK_TREES, self._owner_id)
            row = await find(on, queries.ONE_FOR_UPDATE, asset_id, self._owner_id)
            check_if_match(if_match, asset_etag(row))
            if not given:
                return row
            if (given.get("content_type", row["content_type"]) == FOLDER) != (
                row["content_type"] == FOLDER
            ):
                raise InvalidAsset("A folder stays a folder, and a file a file.")
            if given.get("parent_id") is not None:
                await check_parent(on, given["parent_id"], self._owner_id)
                if await on.fetchval(queries.IS_WITHIN, given["parent_id"], asset_id):
                    raise MoveBelowItself
            return await self._edit(on, row, given)

    async def _edit(self, on: Connection, row: Row, given: Mapping[str, Any]) -> Row:
        name = given.get("name", row["name"])
        try:
            edited = await queries.EDIT.row(
                on,
                asset_id=row["id"],
                new_name=name,
                new_search_name=queries.search_name(name),
                new_parent_id=given.get("parent_id", row["parent_id"]),
                new_content_type=given.get("content_type", row["content_type"]),
                new_metadata=given.get("metadata", loads(row["metadata"])),
            )
        except asyncpg.ForeignKeyViolationError:
            raise InvalidParent from None
        if edited is None:
            raise AssetNotFound
        return edited

    async def delete(self, asset_id: str, if_match: str | None, *, recursive: bool) -> None:
        """Delete an asset, a folder with everything in it where `recursive`; the bytes go too.

        Raises:
            AssetNotFound: It does not exist or belongs to someone else.
            PreconditionFailed: `if_match` names another version.
            FolderNotEmpty: There is something in it.
        """
        is_folder = (await self.get(asset_id))["content_type"] == FOLDER
        for attempt in range(_DELETE_ATTEMPTS):
            try:
                keys, uploads = await self._delete_rows(
                    asset_id, if_match, is_folder=is_folder, recursive=recursive
                )
            except asyncpg.ForeignKeyViolationError:
                # Something came into the folder while it was being deleted.
                if not recursive or attempt == _DELETE_ATTEMPTS - 1:
                    raise FolderNotEmpty from None
            else:
                break
        # The journal sees to the rest of a great tree, soon.
        if keys:
            await self._journal.delete(keys[:DELETED_AT_ONCE], uploads)

    async def _delete_rows(
        self, asset_id: str, if_match: str | None, *, is_folder: bool, recursive: bool
    ) -> tuple[list[str], dict[str, str]]:
        async with self._db.transaction() as on:
            if is_folder:
                # Before any row, as a move does: the other order ends in a deadlock.
                await on.execute(queries.LOCK_TREES, self._owner_id)
            row = await find(on, queries.ONE_FOR_UPDATE, asset_id, self._owner_id)
            check_if_match(if_match, asset_etag(row))
            guarded = is_folder and not recursive
            if guarded and await on.fetchval(queries.HAS_CHILDREN, asset_id):
                raise FolderNotEmpty
            gone = await on.fetch(queries.DELETE_TREE, asset_id)
            files = [row for row in gone if row["version"] is not None]
            keys = [key_of(row) for row in files]
            uploads = uploads_of(files)
            await self._journal.retire(on, keys, [row["put_until"] for row in files], uploads)
        return keys, uploads


async def find(on: queries.On, statement: Any, asset_id: str, owner_id: str) -> Row:
    """Return one asset of the owner by a statement.

    Raises:
        AssetNotFound: It does not exist or belongs to someone else.
    """
    row: Row | None = None
    if is_id(asset_id):
        row = await statement.row(on, asset_id=asset_id, user_id=owner_id)
    if row is None:
        raise AssetNotFound
    return row


async def check_parent(on: queries.On, parent_id: str | None, owner_id: str) -> None:
    """Hold that a parent is a folder of the owner; None is the top level.

    Raises:
        InvalidParent: It is not.
    """
    if parent_id is None:
        return
    row = None
    if is_id(parent_id):
        row = await queries.PARENT_TYPE.row(on, asset_id=parent_id, user_id=owner_id)
    if row is None or row["content_type"] != FOLDER:
        raise InvalidParent
