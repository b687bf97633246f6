"""Import of assets from URLs."""

from __future__ import annotations

from email.message import Message
from email.utils import collapse_rfc2231_value
from urllib.parse import unquote

from app.assets.creation import AssetCreation
from app.assets.direct_uploads import DirectUploadService
from app.assets.errors import InvalidAsset
from app.assets.queries import AssetRecord
from app.assets.service import AssetService
from app.http.auth import Principal
from app.http.idempotency.keys import IdempotencyKey, fingerprint_of
from app.outbound import Download, Downloader
from processing_context.wire.assets import FOLDER, AssetCreate, AssetImport

MAX_NAME_CHARS = 1000


class ImportService:
    """Creates assets from files that are downloaded from URLs."""

    def __init__(
        self,
        assets: AssetService,
        creation: AssetCreation,
        uploads: DirectUploadService,
        downloader: Downloader,
    ) -> None:
        self._assets = assets
        self._creation = creation
        self._uploads = uploads
        self._downloader = downloader

    async def create(
        self, principal: Principal, body: AssetImport, key: IdempotencyKey
    ) -> tuple[AssetRecord, bool]:
        """Download a URL into a new asset.

        Returns:
            The asset, and True if an earlier request with the same key created it.

        Raises:
            InvalidAsset: The content type is that of a folder.
            InvalidParent: The parent is not a folder of the user.
            UrlNotAllowed: The URL is not allowed, such as one of a private address.
            UrlUnreachable: The server cannot be reached, or its response is not a file.
            TooLarge: The file is larger than the limit.
            QuotaExceeded: The upload would exceed the quota of the user.
        """
        if body.content_type == FOLDER:
            raise InvalidAsset("A URL cannot be imported as a folder.")
        created = await key.begin(fingerprint_of(body))
        if created is not None:
            return await self._assets.get(principal.user_id, created), True
        draft = AssetCreate(parent_id=body.parent_id)
        await self._creation.check(principal.user_id, draft)
        async with self._downloader.get(body.url) as download:
            asset = await self._uploads.create_from(
                principal,
                download.body,
                draft,
                key,
                name=body.name or _name(download),
                content_type=body.content_type or download.content_type,
            )
        return asset, False


def _name(download: Download) -> str:
    """Return the name of a file: from its Content-Disposition, else from the URL, else the host."""
    for name in (_declared_name(download.disposition), unquote(download.url.path)):
        last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
        clean = "".join(c if c.isprintable() else "_" for c in last).strip()
        if clean not in ("", ".", ".."):
            return clean[-MAX_NAME_CHARS:]
    return download.url.host


def _declared_name(disposition: str | None) -> str:
    """Return the file name in a Content-Disposition header, in either of its forms (RFC 6266)."""
    header = Message()
    header["Content-Disposition"] = " ".join((disposition or "").split())
    given = header.get_params([], "Content-Disposition")
    names = [value for key, value in given if key.lower() == "filename"]
    # `filename*` takes precedence over `filename`.
    preferred = next((name for name in names if isinstance(name, tuple)), next(iter(names), ""))
    return collapse_rfc2231_value(preferred)
