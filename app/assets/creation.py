"""Insertion of assets, shared by all kinds of upload."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import asyncpg

from app.assets import queries
from app.assets.errors import InvalidAsset, InvalidParent
from app.assets.folders import check_parent
from app.assets.queries import AssetRecord, NewAsset
from app.assets.quotas import Quotas
from app.database.engine import Database
from app.database.statement import Connection
from app.http.auth import Principal
from app.http.json_limits import check_metadata
from app.http.problems import Unauthorized
from app.runtime.ids import is_id
from processing_context.wire import media_types
from processing_context.wire.assets import AssetCreate, UploadCreate


class AssetCreation:
    """Inserts assets. Assets created with the token of a job belong to the job."""

    def __init__(self, db: Database, quotas: Quotas, *, max_metadata_bytes: int) -> None:
        self._db = db
        self._quotas = quotas
        self._max_metadata_bytes = max_metadata_bytes

    async def check(self, user_id: str, draft: AssetCreate | UploadCreate) -> None:
        """Check a draft before its bytes are read.

        Raises:
            InvalidAsset: The workflow id is malformed.
            InvalidParent: The parent is not a folder of the user.
            MetadataTooLarge: The metadata exceed the limit.
        """
        self.check_fields(draft)
        await check_parent(self._db.pool, user_id, draft.parent_id)

    def check_fields(self, draft: AssetCreate | UploadCreate) -> None:
        """Check a draft without its parent; raises the same errors as `check`."""
        if draft.workflow_id is not None and not is_id(draft.workflow_id):
            raise InvalidAsset("`workflow_id` is not an id: ids have 32 hexadecimal digits.")
        check_metadata("metadata", draft.metadata, self._max_metadata_bytes)

    async def insert(self, on: Connection, principal: Principal, asset: NewAsset) -> AssetRecord:
        """Insert an asset.

        Raises:
            InvalidParent: The parent has been deleted concurrently.
            QuotaExceeded: The upload would exceed the quota of the user.
            Unauthorized: The user has been deleted concurrently.
        """
        return (await self.insert_all(on, principal, [asset]))[0]

    async def insert_all(
        self, on: Connection, principal: Principal, assets: Sequence[NewAsset]
    ) -> list[AssetRecord]:
        """Insert assets atomically; raises the same errors as `insert`."""
        try:
            inserted = await queries.insert(on, assets)
        except asyncpg.ForeignKeyViolationError as exc:
            if "parent_id" in (exc.constraint_name or ""):
                raise InvalidParent from None
            raise Unauthorized("The user of this token has been deleted.") from None
        if any(asset.size for asset in assets):
            await self._quotas.enforce(on, principal)
        return inserted


def new_asset(
    principal: Principal,
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
    object_etag: str | None = None,
) -> NewAsset:
    """Return the row of a new asset, not inserted yet."""
    # The type of bytes that do not pass through the service is detected after the upload.
    is_undetected = status == "pending" and media_types.is_generic(content_type)
    return NewAsset(
        id=asset_id,
        user_id=principal.user_id,
        job_id=principal.job_id,
        parent_id=draft.parent_id,
        workflow_id=draft.workflow_id,
        node_id=draft.node_id,
        metadata=draft.metadata,
        name=name,
        content_type=content_type,
        status=status,
        version=version,
        size=size,
        sha256=sha256,
        put_ttl=put_ttl,
        upload_id=upload_id,
        part_size=part_size,
        object_etag=object_etag,
        needs_media_metadata=media_types.is_media(content_type) or is_undetected,
    )
