"""Temporary files of one owner."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Self

from starlette.requests import Request

from app.database.engine import Database
from app.http import content_headers
from app.http.auth import Principal, current_principal
from app.http.dependencies import services_of
from app.http.file_response import Content
from app.http.idempotency.keys import IdempotencyKey, fingerprint_of
from app.http.problems import Conflict, Gone, Invalid, NotFound, TooLarge
from app.runtime.ids import new_id
from app.settings import Settings
from app.storage import MAX_PUT_BYTES, Journal, Network, ObjectMissing, Storage, network_of
from app.temp import queries
from app.temp.queries import Row
from processing_context.wire import media_types
from processing_context.wire.assets import FOLDER, TempUploadCreate

_TEMP_ID = re.compile(r"[0-9a-f]{32}\.[a-z0-9]{1,16}")


class TempNotFound(NotFound):
    """No such file, or not the caller's."""

    code = "temp_not_found"
    detail = "There is no such temporary file."


class TempExpired(Gone):
    """Its time is over."""

    code = "temp_expired"
    detail = "This temporary file has expired."


class TempNotStored(Conflict):
    """Its bytes have not come."""

    code = "upload_incomplete"
    detail = "Nothing has been put to the URL of this temporary file yet."


class TempService:
    """Temporary files of one owner."""

    def __init__(
        self,
        db: Database,
        storage: Storage,
        settings: Settings,
        principal: Principal,
        network: Network,
    ) -> None:
        self._db = db
        self._storage = storage
        self._settings = settings
        self._principal = principal
        self._network = network
        self._journal = Journal(db, storage, "temp")

    @classmethod
    def of(cls, request: Request) -> Self:
        """Return the service for a request's caller."""
        services = services_of(request)
        return cls(
            services.get(Database),
            services.get(Storage),
            services.get(Settings),
            current_principal(request),
            network_of(request),
        )

    async def create(
        self, body: AsyncIterator[bytes], *, ext: str, claimed: str | None, once: IdempotencyKey
    ) -> tuple[Row, bool]:
        """Make a temporary file of a body.

        Returns:
            The file, and whether it is that of an earlier request with the same key.

        Raises:
            TooLarge: It is larger than the limit.
        """
        made = await once.begin()
        head = await _head(body)
        if made is not None:
            digest = hashlib.sha256(head)
            async for chunk in body:
                digest.update(chunk)
            once.check(fingerprint_of(ext, digest.digest()))
            return await self.get(made), True
        content_type = media_types.content_type_of(claimed, head, f".{ext}")
        temp_id = _new_id(ext, content_type)
        digest = hashlib.sha256(head)
        size = len(head)
        async with self._journal.putting(temp_id):
            async with self._storage.temp.upload(temp_id) as upload:
                await upload.write(head)
                async for chunk in body:
                    digest.update(chunk)
                    size += len(chunk)
                    await upload.write(chunk)
            async with self._db.transaction() as on:
                await self._journal.finish(on, temp_id)
                row = await self._insert(
                    on, id=temp_id, content_type=content_type, size=size, is_stored=True
                )
                await once.complete(on, temp_id, fingerprint_of(ext, digest.digest()))
        return row, False

    async def reserve(self, draft: TempUploadCreate, once: IdempotencyKey) -> tuple[Row, bool]:
        """Make a temporary file that the caller puts past us.

        Returns:
            The file, and whether it is that of an earlier request with the same key.

        Raises:
            TooLarge: It would be larger than the limit.
        """
        limit = min(self._settings.max_upload_bytes, MAX_PUT_BYTES)
        if draft.size is not None and draft.size > limit:
            raise TooLarge(f"The file has {draft.size} bytes; the limit is {limit}.")
        if draft.content_type == FOLDER:
            raise Invalid("A temporary file is no folder.")
        made = await once.begin(fingerprint_of(draft))
        if made is not None:
            return await self.get(made), True
        ext = draft.ext.removeprefix(".")
        content_type = media_types.content_type_of(draft.content_type, b"", f".{ext}")
        async with self._db.transaction() as on:
            row = await self._insert(
                on,
                id=_new_id(ext, content_type),
                content_type=content_type,
                size=draft.size,
                is_stored=False,
                put_ttl=self._put_ttl(),
            )
            await once.complete(on, row["id"])
        return row, False

    async def get(self, temp_id: str) -> Row:
        """Return one file; what was put to its URL meanwhile is found out.

        Raises:
            TempNotFound: It does not exist or belongs to someone else.
            TempExpired: Its time is over.
        """
        row: Row | None = None
        if _TEMP_ID.fullmatch(temp_id):
            row = await queries.ONE.row(
                self._db.pool, temp_id=temp_id, user_id=self._principal.user_id
            )
        if row is None:
            raise TempNotFound
        if row["is_expired"]:
            raise TempExpired
        if row["is_stored"]:
            return row
        try:
            stat = await self._storage.temp.stat(temp_id)
        except ObjectMissing:
            return row
        seen = await queries.MARK_STORED.row(self._db.pool, temp_id=temp_id, seen_size=stat.size)
        return seen or row

    async def delete(self, temp_id: str) -> None:
        """Delete a file, expired or not.

        Raises:
            TempNotFound: It does not exist or belongs to someone else.
        """
        if not _TEMP_ID.fullmatch(temp_id):
            raise TempNotFound
        async with self._db.transaction() as on:
            gone = await queries.DELETE.row(on, temp_id=temp_id, user_id=self._principal.user_id)
            if gone is None:
                raise TempNotFound
            await self._journal.retire(on, [temp_id], [gone["put_until"]])
        await self._journal.delete([temp_id])

    async def urls(self, ids: Sequence[str], expires_s: int) -> dict[str, str]:
        """Return URLs of those of the ids that are files of the owner."""
        wanted = [id_ for id_ in ids if _TEMP_ID.fullmatch(id_)]
        if not wanted:
            return {}
        rows = await queries.MANY.rows(self._db.pool, ids=wanted, user_id=self._principal.user_id)
        return {row["id"]: self.url_to_get(row, expires_s) for row in rows}

    def url_to_get(self, row: Row, expires_s: int) -> str:
        """Return a URL for the bytes."""
        content_type = row["content_type"]
        is_inline = content_headers.is_safe_inline(content_type)
        return self._storage.presign_get(
            self._storage.temp,
            row["id"],
            network=self._network,
            expires_s=expires_s,
            content_type=content_headers.header_of(content_type),
            disposition=None if is_inline else content_headers.disposition("attachment", row["id"]),
        )

    def url_to_put(self, row: Row) -> str:
        """Return a URL to put the bytes to; where the size was declared it is signed too."""
        size = row["size"]
        return self._storage.presign_put(
            self._storage.temp,
            row["id"],
            network=self._network,
            expires_s=int(self._put_ttl().total_seconds()),
            headers=None if size is None else {"Content-Length": str(size)},
        )

    def content(self, row: Row) -> Content:
        """Return the bytes, to be served by us.

        Raises:
            TempNotStored: They have not come.
        """
        if not row["is_stored"]:
            raise TempNotStored
        return Content(
            bucket=self._storage.temp,
            key=row["id"],
            size=row["size"],
            content_type=row["content_type"],
            etag=f'"{row["id"]}-{row["size"]}"',
            name=row["id"],
        )

    async def _insert(
        self,
        on: queries.On,
        *,
        id: str,
        content_type: str,
        size: int | None,
        is_stored: bool,
        put_ttl: timedelta | None = None,
    ) -> Row:
        row = await queries.INSERT.row(
            on,
            id=id,
            user_id=self._principal.user_id,
            job_id=self._principal.job_id,
            content_type=content_type,
            size=size,
            is_stored=is_stored,
            put_ttl=put_ttl,
            ttl=self._ttl(),
        )
        if row is None:
            raise RuntimeError("an insert returned no row")
        return row

    def _ttl(self) -> timedelta:
        lifetime = timedelta(seconds=self._settings.temp_ttl_s)
        if self._principal.job_id is None:
            return lifetime
        # A day's events go as a whole, so up to a day after their time.
        return max(lifetime, timedelta(days=self._settings.event_retention_days + 1))

    def _put_ttl(self) -> timedelta:
        return timedelta(seconds=min(self._settings.upload_url_ttl_s, self._settings.temp_ttl_s))


def _new_id(ext: str, content_type: str) -> str:
    return f"{new_id()}.{(ext or media_types.extension_of(content_type)).lower()}"


async def _head(body: AsyncIterator[bytes]) -> bytes:
    """Return what has come once it is enough to see what kind of file it is."""
    head = b""
    async for chunk in body:
        head += chunk
        if len(head) >= media_types.HEAD_BYTES:
            break
    return head
