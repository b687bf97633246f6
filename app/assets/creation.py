"""The row of a new asset, whichever way its bytes come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg

from app.assets import queries
from app.assets.errors import InvalidAsset, InvalidParent
from app.assets.queries import Row
from app.assets.quotas import Quota
from app.assets.service import check_parent
from app.database.engine import Database
from app.database.statement import Connection
from app.http.auth import Principal
from app.http.problems import Unauthorized
from app.runtime.ids import is_id
from processing_context.wire import media_types
from processing_context.wire.assets import AssetCreate, UploadCreate

Columns: TypeAlias = dict[str, Any]
"""The parameters of the statement that inserts a row."""


class Maker:
    """Makes rows for one caller; those made with a job's token belong to the job."""

    def __init__(self, db: Database, principal: Principal) -> None:
        self._db = db
        self._owner_id = principal.user_id
        self._job_id = principal.job_id
        self._quota = Quota(db, principal)

    async def check(self, draft: AssetCreate | UploadCreate) -> None:
        """Hold what a draft refers to, before its bytes are read.

        Raises:
            InvalidAsset: The workflow's id is none.
            InvalidParent: The parent is no folder of the owner.
        """
        if draft.workflow_id is not None and not is_id(draft.workflow_id):
            raise InvalidAsset("workflow_id is no id.")
        await check_parent(self._db.pool, draft.parent_id, self._owner_id)

    async def insert(self, on: Connection, draft: AssetCreate | UploadCreate, **more: Any) -> Row:
        """Insert the row of an asset; `more` is what `columns` takes.

        Raises:
            InvalidParent: The parent has gone meanwhile.
            QuotaExceeded: The user would have too many bytes.
            Unauthorized: The user has gone meanwhile.
        """
        return (await self.insert_all(on, [self.columns(draft, **more)]))[0]

    async def insert_all(self, on: Connection, rows: Sequence[Columns]) -> list[Row]:
        """Insert rows, all or none, as `insert`."""
        try:
            made = await queries.INSERT.rows_of_each(on, rows)
        except asyncpg.ForeignKeyViolationError as exc:
            if "parent_id" in (exc.constraint_name or ""):
                raise InvalidParent from None
            raise Unauthorized("The user of this token was deleted.") from None
        if any(row["size"] for row in rows):
            await self._quota.hold(on)
        return made

    def columns(
        self,
        draft: AssetCreate | UploadCreate,
        *,
        asset_id: str,
        name: str,
        content_type: str,
        status: str = "ready",
        version: str | None = None,
        size: int = 0,
        sha256: str | None = None,
        put_ttl: timedelta | None = None,
        upload_id: str | None = None,
        part_size: int | None = None,
    ) -> Columns:
        """Return what a new row holds."""
        # What went past us is looked at once it is there.
        is_unseen = status == "pending" and media_types.is_generic(content_type)
        return {
            "id": asset_id,
            "user_id": self._owner_id,
            "job_id": self._job_id,
            "parent_id": draft.parent_id,
            "workflow_id": draft.workflow_id,
            "node_id": draft.node_id,
            "metadata": draft.metadata,
            "name": name,
            "search_name": queries.search_name(name),
            "content_type": content_type,
            "status": status,
            "version": version,
            "size": size,
            "sha256": sha256,
            "put_ttl": put_ttl,
            "upload_id": upload_id,
            "part_size": part_size,
            "wants_facts": media_types.is_media(content_type) or is_unseen,
            "duration": None,
            "width": None,
            "height": None,
        }
