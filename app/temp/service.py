"""Service of temporary files: create, reserve, get, delete."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from app.database.engine import Database
from app.http.auth import Principal
from app.http.content_headers import declared_type
from app.http.idempotency.keys import IdempotencyKey, fingerprint_of
from app.http.problems import Invalid, TooLarge
from app.http.stored_content import Content
from app.runtime.ids import new_id
from app.settings import Settings
from app.storage import MAX_PUT_BYTES, Journal, ObjectMissing, Storage
from app.temp import queries
from app.temp.errors import TempExpired, TempNotFound, TempNotStored
from app.temp.queries import NewTemp, TempRecord
from app.temp.quota import TempQuota
from processing_context.wire import media_types
from processing_context.wire.assets import FOLDER, TempUploadCreate

TEMP_ID = re.compile(r"[0-9a-f]{32}\.[a-z0-9]{1,16}")
"""Pattern of the ids of files, which are also the keys of their objects."""


JobEnds = Callable[[Collection[str]], Awaitable[Mapping[str, datetime | None]]]
"""Returns the times at which those of the jobs ended that exist; None for unfinished ones."""


class TempService:
    """Creates, reads and deletes temporary files of users.

    A file of a job lives until some time after the end of the job. Its row is extended by the
    cleanup, or when the file is read after the stored expiry.
    """

    def __init__(
        self,
        db: Database,
        storage: Storage,
        settings: Settings,
        quota: TempQuota,
        job_ends: JobEnds,
    ) -> None:
        self._db = db
        self._quota = quota
        self._job_ends = job_ends
        self._bucket = storage.temp
        self._journal = Journal(db, storage, "temp")
        self._max_bytes = settings.max_upload_bytes
        self._ttl = timedelta(seconds=settings.temp_ttl_s)
        self._job_ttl = timedelta(seconds=settings.job_temp_ttl_s)
        self._put_ttl = timedelta(seconds=min(settings.upload_url_ttl_s, settings.temp_ttl_s))

    async def create(
        self,
        principal: Principal,
        body: AsyncIterator[bytes],
        *,
        ext: str,
        content_type: str | None,
        key: IdempotencyKey,
        declared: int,
    ) -> tuple[TempRecord, bool]:
        """Create a file from a request body.

        Args:
            principal: The caller.
            body: The bytes.
            ext: The file extension without the dot; empty to derive it from the content type.
            content_type: The content type that the caller declares.
            key: The Idempotency-Key of the request.
            declared: The size of the body in bytes; 0 if it is not known.

        Returns:
            The file, and True if an earlier request with the same key created it.

        Raises:
            InvalidContentType: The content type has control characters.
            TooLarge: The file is larger than the limit.
            QuotaExceeded: The file would exceed the user's quota for temporary files.
        """
        content_type = declared_type(content_type)
        created = await key.begin()
        head = await _read_head(body)
        digest = hashlib.sha256(head)
        if created is not None:
            async for chunk in body:
                digest.update(chunk)
            key.check(fingerprint_of(ext, digest.digest()))
            return await self.get(principal.user_id, created), True
        remaining = await self._quota.remaining(principal.user_id, needed=declared)
        content_type = media_types.content_type_of(content_type, head, f".{ext}")
        temp_id = _new_temp_id(ext, content_type)
        size = len(head)
        self._quota.check(size, remaining)
        async with self._journal.putting(temp_id):
            async with self._bucket.upload(temp_id, principal.user_id) as upload:
                await upload.write(head)
                async for chunk in body:
                    digest.update(chunk)
                    size += len(chunk)
                    self._quota.check(size, remaining)
                    await upload.write(chunk)
            new = self._new(principal, temp_id, content_type, size, is_stored=True)
            async with self._db.transaction() as on:
                await self._journal.finish(on, temp_id)
                file = await queries.insert(on, new)
                await key.complete(on, temp_id, fingerprint_of(ext, digest.digest()))
        self._quota.add(principal.user_id, size)
        return file, False

    async def reserve(
        self, principal: Principal, draft: TempUploadCreate, key: IdempotencyKey
    ) -> tuple[TempRecord, bool]:
        """Create a file whose bytes the caller puts to a presigned URL.

        Returns:
            The file, and True if an earlier request with the same key created it.

        Raises:
            Invalid: The content type is that of a folder.
            TooLarge: The declared size is larger than the limit.
            QuotaExceeded: The file would exceed the user's quota for temporary files.
        """
        limit = min(self._max_bytes, MAX_PUT_BYTES)
        if draft.size is not None and draft.size > limit:
            raise TooLarge(f"The file has {draft.size} bytes; the limit is {limit}.")
        if draft.content_type == FOLDER:
            raise Invalid("A temporary file cannot be a folder: send another content type.")
        created = await key.begin(fingerprint_of(draft))
        if created is not None:
            return await self.get(principal.user_id, created), True
        await self._quota.remaining(principal.user_id, needed=draft.size or 0)
        if draft.size is None:
            await self._quota.check_undeclared(principal.user_id)
        ext = draft.ext.removeprefix(".")
        content_type = media_types.content_type_of(draft.content_type, b"", f".{ext}")
        temp_id = _new_temp_id(ext, content_type)
        new = self._new(principal, temp_id, content_type, draft.size, is_stored=False)
        async with self._db.transaction() as on:
            file = await queries.insert(on, new)
            await key.complete(on, file.id)
        self._quota.add(principal.user_id, draft.size or 0)
        return file, False

    async def get(self, user_id: str, temp_id: str) -> TempRecord:
        """Return one file; a file that is not marked as stored is looked up in storage.

        Raises:
            TempNotFound: It does not exist, or it belongs to another user.
            TempExpired: The file has expired.
        """
        file = await self._find(user_id, temp_id)
        if file.is_stored:
            return file
        try:
            stat = await self._bucket.stat(temp_id)
        except ObjectMissing:
            return file
        return await queries.mark_stored(self._db.pool, temp_id, size=stat.size) or file

    async def get_stored(self, user_id: str, temp_ids: Sequence[str]) -> Sequence[TempRecord]:
        """Return the files of a user among the ids that are stored and not expired."""
        wanted = [temp_id for temp_id in temp_ids if TEMP_ID.fullmatch(temp_id)]
        if not wanted:
            return []
        found = await queries.get_stored(self._db.pool, wanted, user_id=user_id)
        if await self._extend([file for file in found if file.is_expired]):
            found = await queries.get_stored(self._db.pool, wanted, user_id=user_id)
        return [file for file in found if not file.is_expired]

    async def _find(self, user_id: str, temp_id: str) -> TempRecord:
        file = None
        if TEMP_ID.fullmatch(temp_id):
            file = await queries.get(self._db.pool, temp_id, user_id=user_id)
        if file is None:
            raise TempNotFound(temp_id)
        if not file.is_expired:
            return file
        if not await self._extend([file]):
            raise TempExpired
        return await self._find(user_id, temp_id)

    async def _extend(self, files: Sequence[TempRecord]) -> int:
        """Extend files whose jobs ended after the files were created; return their number."""
        job_ids = {file.job_id for file in files if file.job_id is not None}
        if not job_ids:
            return 0
        ends = await self._job_ends(job_ids)
        return await queries.extend(
            self._db.pool, [file.id for file in files], ends, ttl=self._job_ttl
        )

    async def delete(self, user_id: str, temp_id: str) -> None:
        """Delete a file before it expires.

        Raises:
            TempNotFound: It does not exist, or it belongs to another user.
            TempExpired: The file has expired; the cleanup deletes it.
        """
        await self._find(user_id, temp_id)
        async with self._db.transaction() as on:
            deleted = await queries.delete(on, temp_id, user_id=user_id)
            if deleted is None:
                raise TempNotFound(temp_id)
            await self._journal.retire(on, [temp_id], [deleted.put_until])
        self._quota.add(user_id, -(deleted.size or 0))
        await self._journal.delete([temp_id])

    def content(self, file: TempRecord) -> Content:
        """Return the content of a file, for a file response.

        Raises:
            TempNotStored: The bytes have not been uploaded.
        """
        if not file.is_stored or file.size is None:
            raise TempNotStored
        return Content(
            bucket=self._bucket,
            key=file.id,
            size=file.size,
            content_type=file.content_type,
            etag=f'"{file.id}-{file.size}"',
            name=file.id,
        )

    def _new(
        self,
        principal: Principal,
        temp_id: str,
        content_type: str,
        size: int | None,
        *,
        is_stored: bool,
    ) -> NewTemp:
        return NewTemp(
            id=temp_id,
            user_id=principal.user_id,
            job_id=principal.job_id,
            content_type=content_type,
            size=size,
            is_stored=is_stored,
            ttl=self._ttl if principal.job_id is None else self._job_ttl,
            put_ttl=None if is_stored else self._put_ttl,
        )


def _new_temp_id(ext: str, content_type: str) -> str:
    return f"{new_id()}.{(ext or media_types.extension_of(content_type)).lower()}"


async def _read_head(body: AsyncIterator[bytes]) -> bytes:
    """Return the first bytes of a body, enough to detect its content type."""
    head = b""
    async for chunk in body:
        head += chunk
        if len(head) >= media_types.HEAD_BYTES:
            break
    return head
