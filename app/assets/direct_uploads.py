"""Bytes of assets that come through the service, streamed to storage."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from pydantic import TypeAdapter, ValidationError

from app.assets import queries
from app.assets.creation import Maker
from app.assets.errors import AssetNotFound, InvalidAsset, NoContent, UploadIncomplete
from app.assets.presigned_urls import key_of
from app.assets.queries import Row
from app.assets.quotas import Quota
from app.assets.schemas import asset_etag
from app.assets.service import find
from app.database.engine import Database
from app.http.auth import Principal
from app.http.etags import check_if_match
from app.http.form_parser import FormReader, Part
from app.http.idempotency.keys import IdempotencyKey, fingerprint_of
from app.http.problems import TooLarge
from app.http.request_body import parse_part
from app.runtime.ids import new_id
from app.settings import Settings
from app.storage import Journal, Storage
from app.storage.streaming_upload import Upload
from processing_context.wire import media_types
from processing_context.wire.assets import FOLDER, AssetCreate
from processing_context.wire.base import Name

_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True)
class Received:
    """What is known of bytes that went by."""

    size: int
    sha256: str
    head: bytes


class UploadService:
    """Makes assets of one owner from request bodies, and replaces their bytes."""

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

    async def create(
        self, form: FormReader, once: IdempotencyKey, *, declared: int
    ) -> tuple[Row, bool]:
        """Make an asset from a form: part `json` if any, then part `file`; without one, a folder.

        Args:
            form: The form.
            once: Its Idempotency-Key.
            declared: How many bytes at least its parts have.

        Returns:
            The asset, and whether it is that of an earlier request with the same key.

        Raises:
            InvalidAsset: The parts do not make an asset.
            InvalidParent: The parent is no folder of the owner.
            TooLarge: The file is larger than the limit.
            QuotaExceeded: The user would have too many bytes.
        """
        made = await once.begin()
        draft, file = await self._read_head(form)
        if made is not None:
            received = await self._receive(form, None, None) if file else None
            once.check(_fingerprint(draft, received))
            return await find(self._db.pool, queries.ONE, made, self._owner_id), True
        await self._maker.check(draft)
        if file is None:
            return await self._create_folder(draft, once), False
        room = await self._quota.room(needed=declared - form.read_bytes)
        return await self._create_file(form, draft, file, once, room), False

    async def create_from(
        self,
        chunks: AsyncIterator[bytes],
        draft: AssetCreate,
        once: IdempotencyKey,
        *,
        name: str,
        claimed: str | None,
    ) -> Row:
        """Make an asset of bytes that come from elsewhere than the request.

        Raises:
            InvalidParent: The parent has gone meanwhile.
            TooLarge: There are more bytes than the limit.
            QuotaExceeded: The user would have too many bytes.
        """
        room = await self._quota.room()

        async def receive(upload: Upload) -> Received:
            return await self._read(chunks, upload, room)

        return await self._store(draft, receive, once, name=name, claimed=claimed)

    async def replace(
        self,
        asset_id: str,
        body: AsyncIterator[bytes],
        claimed: str | None,
        if_match: str | None,
        *,
        declared: int,
    ) -> Row:
        """Replace the bytes of an asset; the old ones are there until the new ones are.

        Args:
            asset_id: The asset.
            body: Its new bytes.
            claimed: Their content type, by the caller.
            if_match: The version that they replace; None: any.
            declared: How many they are; 0: not known.

        Raises:
            AssetNotFound: It does not exist or belongs to someone else.
            PreconditionFailed: `if_match` names another version.
            NoContent: It is a folder.
            UploadIncomplete: Its first bytes have not come yet.
            TooLarge: There are more bytes than the limit.
            QuotaExceeded: The user would have too many bytes.
        """
        row = await find(self._db.pool, queries.ONE, asset_id, self._owner_id)
        _check_replaceable(row, if_match)
        room = await self._quota.room(needed=declared, freed=row["size"])
        version = new_id()
        key = f"{asset_id}/{version}"
        async with self._journal.putting(key):
            async with self._storage.assets.upload(key) as upload:
                received = await self._read(body, upload, room)
            async with self._db.transaction() as on:
                row = await find(on, queries.ONE_FOR_UPDATE, asset_id, self._owner_id)
                _check_replaceable(row, if_match)
                await self._journal.finish(on, key)
                await self._journal.retire(on, [key_of(row)], [row["put_until"]])
                content_type = _replaced_type(claimed, received.head, row)
                replaced = await queries.REPLACE.row(
                    on,
                    asset_id=asset_id,
                    new_version=version,
                    new_size=received.size,
                    new_sha256=received.sha256,
                    new_content_type=content_type,
                    wants_facts=media_types.is_media(content_type),
                )
                if received.size > row["size"]:
                    await self._quota.hold(on)
        await self._journal.delete([key_of(row)])
        if replaced is None:
            raise AssetNotFound
        return replaced

    async def _read_head(self, form: FormReader) -> tuple[AssetCreate, Part | None]:
        draft: AssetCreate | None = None
        while (part := await form.next_part()) is not None:
            if part.name == "file":
                break
            if part.name != "json" or draft is not None:
                raise InvalidAsset("The form has one part `json` at most, then one part `file`.")
            draft = parse_part(await form.read(self._settings.max_json_bytes), AssetCreate)
        draft = draft or AssetCreate()
        if part is None and draft.content_type != FOLDER:
            raise InvalidAsset("The form has no part `file`; only a folder has none.")
        if part is not None and draft.content_type == FOLDER:
            raise InvalidAsset("A folder has no part `file`.")
        return draft, part

    async def _create_folder(self, draft: AssetCreate, once: IdempotencyKey) -> Row:
        if draft.name is None:
            raise InvalidAsset("A folder needs a name.")
        async with self._db.transaction() as on:
            row = await self._maker.insert(
                on, draft, asset_id=new_id(), name=draft.name, content_type=FOLDER
            )
            await once.complete(on, row["id"], _fingerprint(draft, None))
        return row

    async def _create_file(
        self,
        form: FormReader,
        draft: AssetCreate,
        file: Part,
        once: IdempotencyKey,
        room: int | None,
    ) -> Row:
        async def receive(upload: Upload) -> Received:
            return await self._receive(form, upload, room)

        return await self._store(
            draft,
            receive,
            once,
            name=_name(draft, file),
            claimed=file.content_type if draft.content_type is None else draft.content_type,
            fingerprint=partial(_fingerprint, draft),
        )

    async def _store(
        self,
        draft: AssetCreate,
        receive: Callable[[Upload], Awaitable[Received]],
        once: IdempotencyKey,
        *,
        name: str,
        claimed: str | None,
        fingerprint: Callable[[Received], bytes] | None = None,
    ) -> Row:
        asset_id, version = new_id(), new_id()
        key = f"{asset_id}/{version}"
        async with self._journal.putting(key):
            async with self._storage.assets.upload(key) as upload:
                received = await receive(upload)
            async with self._db.transaction() as on:
                await self._journal.finish(on, key)
                row = await self._maker.insert(
                    on,
                    draft,
                    asset_id=asset_id,
                    version=version,
                    name=name,
                    content_type=media_types.content_type_of(claimed, received.head, name),
                    size=received.size,
                    sha256=received.sha256,
                )
                await once.complete(on, asset_id, fingerprint(received) if fingerprint else None)
        return row

    async def _receive(self, form: FormReader, upload: Upload | None, room: int | None) -> Received:
        received = await self._read(form.chunks(), upload, room)
        if await form.next_part() is not None:
            raise InvalidAsset("The part `file` comes once, and last.")
        return received

    async def _read(
        self, chunks: AsyncIterator[bytes], upload: Upload | None, room: int | None
    ) -> Received:
        digest = hashlib.sha256()
        size = 0
        head = b""
        limit = self._settings.max_upload_bytes
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"The file is larger than the limit of {limit} bytes.")
            self._quota.check(size, room)
            if len(head) < media_types.HEAD_BYTES:
                head += chunk[: media_types.HEAD_BYTES]
            digest.update(chunk)
            if upload is not None:
                await upload.write(chunk)
        return Received(size, digest.hexdigest(), head)


def _name(draft: AssetCreate, file: Part) -> str:
    try:
        return _NAME.validate_python(draft.name if draft.name is not None else file.file_name)
    except ValidationError:
        raise InvalidAsset(
            "The asset needs a name of 1 to 1,000 characters without NUL: in `json`, or as the "
            "name of the file."
        ) from None


def _fingerprint(draft: AssetCreate, received: Received | None) -> bytes:
    return fingerprint_of(draft, received.sha256 if received else "")


def _check_replaceable(row: Row, if_match: str | None) -> None:
    check_if_match(if_match, asset_etag(row))
    if row["content_type"] == FOLDER:
        raise NoContent
    if row["status"] == "pending":
        raise UploadIncomplete


def _replaced_type(claimed: str | None, head: bytes, row: Row) -> str:
    if claimed is not None and not media_types.is_generic(claimed):
        return claimed
    kept: str = row["content_type"]
    return media_types.sniff(head) or kept
