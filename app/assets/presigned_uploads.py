"""Bytes of assets that go past the service, by presigned URL: reserve, put, complete."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from app.assets import queries
from app.assets.creation import Maker
from app.assets.errors import (
    AssetCorrupt,
    ChecksumMismatch,
    InvalidAsset,
    UploadEnded,
    UploadIncomplete,
)
from app.assets.multipart_uploads import Multipart
from app.assets.part_plan import ONE_PUT_BYTES, part_size_for
from app.assets.presigned_urls import key_of, uploads_of
from app.assets.queries import Row
from app.assets.quotas import Quota
from app.assets.service import find
from app.database.engine import Database
from app.database.errors import is_database_away
from app.database.statement import Connection
from app.http.auth import Principal
from app.http.idempotency.keys import IdempotencyKey, fingerprint_of
from app.http.problems import TooLarge
from app.runtime.ids import new_id
from app.settings import Settings
from app.storage import MAX_OBJECT_BYTES, Journal, ObjectMissing, Part, Storage
from processing_context.wire.assets import FOLDER, UploadComplete, UploadCreate


class ReservationService:
    """Assets of one owner that wait for their bytes."""

    def __init__(
        self, db: Database, storage: Storage, settings: Settings, principal: Principal
    ) -> None:
        self._db = db
        self._storage = storage
        self._settings = settings
        self._owner_id = principal.user_id
        self._maker = Maker(db, principal)
        self._quota = Quota(db, principal)
        self._journal = Journal(db, storage, "assets")
        self._multipart = Multipart(db, storage)

    async def reserve(self, draft: UploadCreate, once: IdempotencyKey) -> tuple[Row, bool]:
        """Make a pending asset.

        Returns:
            The asset, and whether it is that of an earlier request with the same key.

        Raises:
            InvalidAsset: Such an asset cannot be made.
            InvalidParent: The parent is no folder of the owner.
            TooLarge: The file would be larger than the limit.
        """
        limit = min(self._settings.max_upload_bytes, MAX_OBJECT_BYTES)
        if draft.size > limit:
            raise TooLarge(f"The file has {draft.size} bytes; the limit is {limit}.")
        if draft.content_type == FOLDER:
            raise InvalidAsset("A folder is made with POST /v1/assets.")
        made = await once.begin(fingerprint_of(draft))
        if made is not None:
            row = await find(self._db.pool, queries.ONE, made, self._owner_id)
            await self._extend(row)
            return row, True
        await self._maker.check(draft)
        if draft.size > ONE_PUT_BYTES:
            return await self._begin(draft, once), False
        async with self._db.transaction() as on:
            row = await self._insert(on, draft, asset_id=new_id(), version=new_id())
            await once.complete(on, row["id"])
        return row, False

    async def _begin(self, draft: UploadCreate, once: IdempotencyKey) -> Row:
        await self._quota.room(needed=draft.size)
        asset_id, version = new_id(), new_id()
        key = f"{asset_id}/{version}"
        uploads = self._storage.assets.uploads
        async with self._journal.putting(key):
            upload_id = await uploads.begin(key)
            try:
                async with self._db.transaction() as on:
                    await self._journal.finish(on, key)
                    row = await self._insert(
                        on,
                        draft,
                        asset_id=asset_id,
                        version=version,
                        upload_id=upload_id,
                        part_size=part_size_for(draft.size),
                    )
                    await once.complete(on, asset_id)
            except Exception as exc:
                # Where the commit's answer was lost, the journal knows better.
                if not is_database_away(exc):
                    await uploads.abort(key, upload_id)
                raise
        return row

    async def _insert(self, on: Connection, draft: UploadCreate, **columns: Any) -> Row:
        return await self._maker.insert(
            on,
            draft,
            name=draft.name,
            content_type=draft.content_type,
            size=draft.size,
            sha256=draft.sha256,
            status="pending",
            put_ttl=self._put_ttl(),
            **columns,
        )

    async def stored(self, row: Row) -> list[Part]:
        """Return the parts of a pending multipart upload that storage has.

        Raises:
            UploadEnded: They have been put together.
            UploadExpired: Storage has given up the upload.
        """
        return await self._multipart.stored(row)

    async def renew(self, asset_id: str) -> Row:
        """Return a pending asset, for which fresh URLs will be given.

        Raises:
            AssetNotFound: It does not exist or belongs to someone else.
            UploadEnded: Its bytes are there.
        """
        row = await self._pending(asset_id)
        await self._extend(row)
        return row

    async def abort(self, asset_id: str) -> None:
        """Give up a pending upload.

        Raises:
            AssetNotFound: It does not exist or belongs to someone else.
            UploadEnded: Its bytes are there.
        """
        await self._pending(asset_id)
        async with self._db.transaction() as on:
            gone = await on.fetchrow(queries.DELETE_PENDING, asset_id, self._owner_id)
            if gone is None:
                raise UploadEnded
            uploads = uploads_of([gone])
            await self._journal.retire(on, [key_of(gone)], [gone["put_until"]], uploads)
        await self._journal.delete([key_of(gone)], uploads)

    async def complete(self, asset_id: str, body: UploadComplete) -> Row:
        """Make a pending asset ready once storage has its bytes; again and again does no harm.

        Raises:
            AssetNotFound: It does not exist or belongs to someone else.
            UploadIncomplete: They are not there, or not as many as declared.
            ChecksumMismatch: They have another SHA-256 than declared.
        """
        row = await find(self._db.pool, queries.ONE, asset_id, self._owner_id)
        if row["status"] == "corrupt":
            raise AssetCorrupt
        _check_told(row, body.sha256)
        if row["status"] == "ready":
            return row
        if row["part_size"] is not None:
            await self._multipart.put_together(row, body.parts)
        elif body.parts:
            raise InvalidAsset("This upload is one PUT: it has no parts.")
        else:
            await self._check_stored(row, row["sha256"] or body.sha256)
        marked = await queries.MARK_READY.row(
            self._db.pool, asset_id=asset_id, of_version=row["version"], told_sha256=body.sha256
        )
        if marked is None:  # another request was first
            marked = await find(self._db.pool, queries.ONE, asset_id, self._owner_id)
            _check_told(marked, body.sha256)
        return marked

    async def _check_stored(self, row: Row, declared: str | None) -> None:
        key = key_of(row)
        try:
            stat = await self._storage.assets.stat(key)
            if stat.size != row["size"]:
                raise UploadIncomplete(
                    f"Storage has {stat.size} bytes, {row['size']} were declared."
                )
            if declared is not None:
                # Not every server keeps the checksum that it was sent.
                sha256 = stat.sha256 or await self._storage.assets.sha256(key)
                if sha256 != declared:
                    raise ChecksumMismatch
        except ObjectMissing:
            raise UploadIncomplete from None

    async def _pending(self, asset_id: str) -> Row:
        row = await find(self._db.pool, queries.ONE, asset_id, self._owner_id)
        if row["status"] != "pending":
            raise UploadEnded
        return row

    async def _extend(self, row: Row) -> None:
        await self._db.pool.execute(queries.EXTEND, row["id"], self._put_ttl())

    def _put_ttl(self) -> timedelta:
        return timedelta(seconds=self._settings.upload_url_ttl_s)


def _check_told(row: Row, sha256: str | None) -> None:
    if row["sha256"] is not None and sha256 not in (None, row["sha256"]):
        raise ChecksumMismatch
