"""Uploads to storage by presigned URLs: reserve, put, complete."""

from __future__ import annotations

from datetime import timedelta

from app.assets import queries
from app.assets.creation import AssetCreation, new_asset
from app.assets.deletion import retire_objects
from app.assets.errors import (
    AssetCorrupt,
    ChecksumMismatch,
    InvalidAsset,
    UploadEnded,
    UploadIncomplete,
)
from app.assets.multipart_uploads import AssetParts
from app.assets.object_keys import key_of
from app.assets.part_plan import ONE_PUT_BYTES, part_size_for
from app.assets.queries import AssetRecord, NewAsset
from app.assets.quotas import Quotas, open_uploads_quota
from app.assets.service import AssetService
from app.database.engine import Database
from app.database.errors import is_database_away
from app.http.auth import Principal
from app.http.idempotency.keys import IdempotencyKey, fingerprint_of
from app.http.problems import TooLarge
from app.runtime.ids import new_id
from app.settings import Settings
from app.storage import MAX_OBJECT_BYTES, Bucket, Journal, ObjectMissing, Part
from processing_context.wire.assets import FOLDER, UploadComplete, UploadCreate


class PresignedUploadService:
    """Reserves, renews, completes and aborts uploads by presigned URLs."""

    def __init__(
        self,
        db: Database,
        bucket: Bucket,
        journal: Journal,
        assets: AssetService,
        creation: AssetCreation,
        quotas: Quotas,
        settings: Settings,
    ) -> None:
        self._db = db
        self._bucket = bucket
        self._journal = journal
        self._assets = assets
        self._creation = creation
        self._quotas = quotas
        self._open_uploads = open_uploads_quota(db, limit=settings.max_open_uploads_per_user)
        self._parts = AssetParts(db, bucket)
        self._max_bytes = min(settings.max_upload_bytes, MAX_OBJECT_BYTES)
        self._put_ttl = timedelta(seconds=settings.upload_url_ttl_s)

    async def reserve(
        self, principal: Principal, draft: UploadCreate, key: IdempotencyKey
    ) -> tuple[AssetRecord, bool]:
        """Create a pending asset, whose bytes the caller puts to presigned URLs.

        Returns:
            The asset, and True if an earlier request with the same key created it.

        Raises:
            InvalidAsset: The draft describes a folder, or its workflow id is malformed.
            InvalidParent: The parent is not a folder of the user.
            QuotaExceeded: The upload would exceed the quota of the user, or their number of open
                uploads.
            TooLarge: The file would be larger than the limit.
        """
        if draft.size > self._max_bytes:
            raise TooLarge(f"The file has {draft.size} bytes; the limit is {self._max_bytes}.")
        if draft.content_type == FOLDER:
            raise InvalidAsset("A folder cannot be uploaded: create it with POST /v1/assets.")
        created = await key.begin(fingerprint_of(draft))
        if created is not None:
            asset = await self._assets.get(principal.user_id, created)
            await self._extend(asset)
            return asset, True
        await self._creation.check(principal.user_id, draft)
        await self._open_uploads.check(principal.user_id)
        reserve = self._reserve_parts if draft.size > ONE_PUT_BYTES else self._reserve_put
        return await reserve(principal, draft, key), False

    async def _reserve_put(
        self, principal: Principal, draft: UploadCreate, key: IdempotencyKey
    ) -> AssetRecord:
        new = self._new(principal, draft)
        async with self._db.transaction() as on:
            asset = await self._creation.insert(on, principal, new)
            await key.complete(on, asset.id)
        return asset

    async def _reserve_parts(
        self, principal: Principal, draft: UploadCreate, key: IdempotencyKey
    ) -> AssetRecord:
        await self._quotas.remaining(principal, needed=draft.size)
        new = self._new(principal, draft)
        target = key_of(new)
        uploads = self._bucket.uploads
        async with self._journal.putting(target):
            upload_id = await uploads.begin(target)
            new = new._replace(upload_id=upload_id, part_size=part_size_for(draft.size))
            try:
                async with self._db.transaction() as on:
                    await self._journal.finish(on, target)
                    asset = await self._creation.insert(on, principal, new)
                    await key.complete(on, asset.id)
            except Exception as exc:
                # The transaction may have been committed; then the upload must not be aborted.
                if not is_database_away(exc):
                    await uploads.abort(target, upload_id)
                raise
        return asset

    def _new(self, principal: Principal, draft: UploadCreate) -> NewAsset:
        return new_asset(
            principal,
            draft,
            asset_id=new_id(),
            version=new_id(),
            name=draft.name,
            content_type=draft.content_type,
            size=draft.size,
            sha256=draft.sha256,
            status="pending",
            put_ttl=self._put_ttl,
        )

    async def stored(self, asset: AssetRecord) -> list[Part]:
        """Return the stored parts of a pending multipart upload.

        Raises:
            UploadEnded: The upload has been completed in storage.
            UploadExpired: Storage has deleted the parts.
        """
        return await self._parts.stored(asset)

    async def renew(self, user_id: str, asset_id: str) -> AssetRecord:
        """Return a pending asset, with its time for puts extended for new presigned URLs.

        Raises:
            AssetNotFound: It does not exist, or it belongs to another user.
            UploadEnded: The asset has no pending upload.
        """
        asset = await self._pending(user_id, asset_id)
        await self._extend(asset)
        return asset

    async def abort(self, user_id: str, asset_id: str) -> None:
        """Delete a pending asset and its parts.

        Raises:
            AssetNotFound: It does not exist, or it belongs to another user.
            UploadEnded: The asset has no pending upload.
        """
        await self._pending(user_id, asset_id)
        async with self._db.transaction() as on:
            deleted = await queries.delete_pending(on, asset_id, user_id=user_id)
            if deleted is None:
                raise UploadEnded
            retired = await retire_objects(on, self._journal, [deleted])
        await self._journal.delete(*retired)

    async def complete(self, user_id: str, asset_id: str, body: UploadComplete) -> AssetRecord:
        """Mark a pending asset as ready if storage has its bytes. The call can be repeated.

        Raises:
            AssetNotFound: It does not exist, or it belongs to another user.
            AssetCorrupt: The stored bytes do not match the declared SHA-256.
            UploadIncomplete: The bytes are not stored, or their number is not the declared one.
            ChecksumMismatch: The SHA-256 is not the declared one.
        """
        asset = await self._assets.get(user_id, asset_id)
        if asset.status == "corrupt":
            raise AssetCorrupt
        _check_declared(asset, body.sha256)
        if asset.status == "ready" or asset.version is None:
            return asset
        if asset.part_size is not None:
            object_etag = await self._parts.complete(asset, body.parts)
        elif body.parts:
            raise InvalidAsset("This upload is a single PUT: complete it without `parts`.")
        else:
            object_etag = await self._check_stored(asset, asset.sha256 or body.sha256)
        ready = await queries.mark_ready(
            self._db.pool,
            asset_id,
            version=asset.version,
            sha256=body.sha256,
            object_etag=object_etag,
        )
        if ready is None:  # a concurrent request completed it
            ready = await self._assets.get(user_id, asset_id)
            _check_declared(ready, body.sha256)
        return ready

    async def _check_stored(self, asset: AssetRecord, declared: str | None) -> str | None:
        """Check the object of a single PUT; return its ETag."""
        key = key_of(asset)
        try:
            stat = await self._bucket.stat(key)
            if stat.size != asset.size:
                raise UploadIncomplete(
                    f"The stored object has {stat.size} bytes; {asset.size} were declared."
                )
            if declared is not None:
                # Not every S3 server stores the checksum of a PUT.
                sha256 = stat.sha256 or await self._bucket.sha256(key)
                if sha256 != declared:
                    raise ChecksumMismatch
            return stat.etag
        except ObjectMissing:
            raise UploadIncomplete from None

    async def _pending(self, user_id: str, asset_id: str) -> AssetRecord:
        asset = await self._assets.get(user_id, asset_id)
        if asset.status != "pending":
            raise UploadEnded
        return asset

    async def _extend(self, asset: AssetRecord) -> None:
        await queries.extend_put(self._db.pool, asset.id, self._put_ttl)


def _check_declared(asset: AssetRecord, sha256: str | None) -> None:
    """Check that a SHA-256 is the one declared at the reservation, if there was one."""
    if asset.sha256 is not None and sha256 not in (None, asset.sha256):
        raise ChecksumMismatch
