"""Uploads through the service, streamed to storage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from pydantic import TypeAdapter, ValidationError

from app.assets import queries
from app.assets.creation import AssetCreation, new_asset
from app.assets.errors import InvalidAsset, NoContent, UploadIncomplete
from app.assets.object_keys import key_of, object_key
from app.assets.queries import AssetRecord
from app.assets.quotas import Quotas
from app.assets.received import Limits, Received, receive
from app.assets.service import AssetService, etag, lock
from app.database.engine import Database
from app.http.auth import Principal
from app.http.content_headers import declared_type
from app.http.etags import check_if_match
from app.http.form_parser import FormReader, Part
from app.http.idempotency.keys import IdempotencyKey, fingerprint_of
from app.http.json_threads import JsonThreads
from app.http.request_body import parse_part
from app.runtime.ids import new_id
from app.settings import Settings
from app.storage import Bucket, Journal
from app.storage.streaming_upload import Upload
from processing_context.wire import media_types
from processing_context.wire.assets import FOLDER, AssetCreate
from processing_context.wire.base import Name

FORM_OVERHEAD_BYTES = 64 * 1024
"""Limit for the boundaries and part headers of a form."""

_NAME: TypeAdapter[str] = TypeAdapter(Name)


class DirectUploadService:
    """Creates assets from request bodies, and replaces their bytes."""

    def __init__(
        self,
        db: Database,
        bucket: Bucket,
        journal: Journal,
        assets: AssetService,
        creation: AssetCreation,
        quotas: Quotas,
        threads: JsonThreads,
        settings: Settings,
    ) -> None:
        self._db = db
        self._bucket = bucket
        self._journal = journal
        self._assets = assets
        self._creation = creation
        self._quotas = quotas
        self._threads = threads
        self._max_bytes = settings.max_upload_bytes
        self._max_json_bytes = settings.max_json_bytes

    async def create(
        self, principal: Principal, form: FormReader, key: IdempotencyKey, *, declared: int
    ) -> tuple[AssetRecord, bool]:
        """Create an asset from a form with an optional part `json`, then a part `file`.

        A form without a part `file` creates a folder.

        Args:
            principal: The caller.
            form: The form.
            key: The Idempotency-Key of the request.
            declared: The minimum size of the parts in bytes, by the Content-Length.

        Returns:
            The asset, and True if an earlier request with the same key created it.

        Raises:
            InvalidAsset: The parts do not describe an asset.
            InvalidParent: The parent is not a folder of the user.
            TooLarge: The file is larger than the limit.
            QuotaExceeded: The upload would exceed the quota of the user.
        """
        created = await key.begin()
        draft, file = await self._read_head(form)
        if created is not None:
            received = await _receive_file(form, self._limits(principal)) if file else None
            key.check(_fingerprint(draft, received))
            return await self._assets.get(principal.user_id, created), True
        await self._creation.check(principal.user_id, draft)
        if file is None:
            return await self._create_folder(principal, draft, key), False
        remaining = await self._quotas.remaining(principal, needed=declared - form.read_bytes)
        asset = await self._store(
            principal,
            draft,
            partial(_receive_file, form, self._limits(principal, remaining)),
            key,
            name=_name(draft, file),
            content_type=draft.content_type or declared_type(file.content_type),
            fingerprint=partial(_fingerprint, draft),
        )
        return asset, False

    async def create_from(
        self,
        principal: Principal,
        chunks: AsyncIterator[bytes],
        draft: AssetCreate,
        key: IdempotencyKey,
        *,
        name: str,
        content_type: str | None,
    ) -> AssetRecord:
        """Create an asset from bytes of another source than the request body.

        Raises:
            InvalidParent: The parent has been deleted concurrently.
            TooLarge: The bytes are more than the limit.
            QuotaExceeded: The upload would exceed the quota of the user.
        """
        limits = self._limits(principal, await self._quotas.remaining(principal))
        return await self._store(
            principal,
            draft,
            partial(receive, chunks, limits),
            key,
            name=name,
            content_type=content_type,
        )

    async def replace(
        self,
        principal: Principal,
        asset_id: str,
        body: AsyncIterator[bytes],
        *,
        content_type: str | None,
        if_match: str | None,
        declared: int,
    ) -> AssetRecord:
        """Replace the bytes of an asset; the old ones are served until the new ones are stored.

        Args:
            principal: The caller.
            asset_id: The id of the asset.
            body: The new bytes.
            content_type: The content type that the caller declares.
            if_match: The If-Match header; None replaces any version.
            declared: The size of the body in bytes; 0 if it is not known.

        Raises:
            AssetNotFound: It does not exist, or it belongs to another user.
            PreconditionFailed: The asset has another ETag than `if_match`.
            NoContent: The asset is a folder.
            UploadIncomplete: The asset has a pending upload.
            TooLarge: The bytes are more than the limit.
            QuotaExceeded: The upload would exceed the quota of the user.
        """
        asset = await self._assets.get(principal.user_id, asset_id)
        content_type = declared_type(content_type)
        _check_replaceable(asset, if_match)
        remaining = await self._quotas.remaining(principal, needed=declared, freed=asset.size)
        version = new_id()
        target = object_key(asset_id, version)
        async with self._journal.putting(target):
            async with self._bucket.upload(target, principal.user_id) as upload:
                received = await receive(body, self._limits(principal, remaining), upload)
            async with self._db.transaction() as on:
                old = await lock(on, principal.user_id, asset_id)
                _check_replaceable(old, if_match)
                await self._journal.finish(on, target)
                await self._journal.retire(on, [key_of(old)], [old.put_until])
                new_type = _replaced_type(content_type, received.head, old)
                replaced = await queries.replace_content(
                    on,
                    asset_id,
                    version=version,
                    size=received.size,
                    sha256=received.sha256,
                    content_type=new_type,
                    object_etag=upload.etag,
                    needs_media_metadata=media_types.is_media(new_type),
                )
                if received.size > old.size:
                    await self._quotas.enforce(on, principal)
        await self._journal.delete([key_of(old)])
        return replaced

    def _limits(self, principal: Principal, remaining: int | None = None) -> Limits:
        return Limits(principal, self._max_bytes, remaining)

    async def _read_head(self, form: FormReader) -> tuple[AssetCreate, Part | None]:
        draft: AssetCreate | None = None
        while (part := await form.next_part()) is not None:
            if part.name == "file":
                break
            if part.name != "json" or draft is not None:
                raise InvalidAsset(
                    "The form must have at most one part `json`, then one part `file`."
                )
            text = await form.read(self._max_json_bytes)
            draft = await parse_part(self._threads, text, AssetCreate)
        draft = draft or AssetCreate()
        if part is None and draft.content_type != FOLDER:
            raise InvalidAsset("The form has no part `file`, which all assets except folders need.")
        if part is not None and draft.content_type == FOLDER:
            raise InvalidAsset("A folder has no bytes: send the form without a part `file`.")
        return draft, part

    async def _create_folder(
        self, principal: Principal, draft: AssetCreate, key: IdempotencyKey
    ) -> AssetRecord:
        if draft.name is None:
            raise InvalidAsset("A folder needs a name.")
        new = new_asset(principal, draft, asset_id=new_id(), name=draft.name, content_type=FOLDER)
        async with self._db.transaction() as on:
            asset = await self._creation.insert(on, principal, new)
            await key.complete(on, asset.id, _fingerprint(draft, None))
        return asset

    async def _store(
        self,
        principal: Principal,
        draft: AssetCreate,
        read: Callable[[Upload], Awaitable[Received]],
        key: IdempotencyKey,
        *,
        name: str,
        content_type: str | None,
        fingerprint: Callable[[Received], bytes] | None = None,
    ) -> AssetRecord:
        asset_id, version = new_id(), new_id()
        target = object_key(asset_id, version)
        async with self._journal.putting(target):
            async with self._bucket.upload(target, principal.user_id) as upload:
                received = await read(upload)
            new = new_asset(
                principal,
                draft,
                asset_id=asset_id,
                version=version,
                name=name,
                content_type=media_types.content_type_of(content_type, received.head, name),
                size=received.size,
                sha256=received.sha256,
                object_etag=upload.etag,
            )
            async with self._db.transaction() as on:
                await self._journal.finish(on, target)
                asset = await self._creation.insert(on, principal, new)
                await key.complete(on, asset_id, fingerprint(received) if fingerprint else None)
        return asset


async def _receive_file(form: FormReader, limits: Limits, upload: Upload | None = None) -> Received:
    """Read the part `file`, and check that it is the last one."""
    received = await receive(form.chunks(), limits, upload)
    if await form.next_part() is not None:
        raise InvalidAsset("The form must have one part `file`, as the last part.")
    return received


def _name(draft: AssetCreate, file: Part) -> str:
    try:
        return _NAME.validate_python(draft.name if draft.name is not None else file.file_name)
    except ValidationError:
        raise InvalidAsset(
            "The asset needs a name of 1 to 1,000 characters without control characters: set it in "
            "`json`, or as the file name of the part `file`."
        ) from None


def _fingerprint(draft: AssetCreate, received: Received | None) -> bytes:
    return fingerprint_of(draft, received.sha256 if received else "")


def _check_replaceable(asset: AssetRecord, if_match: str | None) -> None:
    check_if_match(if_match, etag(asset))
    if asset.content_type == FOLDER:
        raise NoContent
    if asset.status == "pending":
        raise UploadIncomplete


def _replaced_type(declared: str | None, head: bytes, asset: AssetRecord) -> str:
    """Return the content type of new bytes: the declared, the detected or the previous one."""
    if declared is not None and not media_types.is_generic(declared):
        return declared
    return media_types.sniff(head) or asset.content_type
