"""Assets made of what a URL leads to."""

from __future__ import annotations

from email.message import Message
from email.utils import collapse_rfc2231_value
from urllib.parse import unquote

from app.assets import queries
from app.assets.creation import Maker
from app.assets.direct_uploads import UploadService
from app.assets.errors import InvalidAsset
from app.assets.queries import Row
from app.assets.service import find
from app.database.engine import Database
from app.http.auth import Principal
from app.http.idempotency.keys import IdempotencyKey, fingerprint_of
from app.outbound import Download, Downloader
from processing_context.wire.assets import FOLDER, AssetCreate, AssetImport

MAX_NAME_CHARS = 1000


class ImportService:
    """Makes assets of one owner from URLs."""

    def __init__(
        self, db: Database, downloader: Downloader, uploads: UploadService, principal: Principal
    ) -> None:
        self._db = db
        self._downloader = downloader
        self._uploads = uploads
        self._owner_id = principal.user_id
        self._maker = Maker(db, principal)

    async def create(self, body: AssetImport, once: IdempotencyKey) -> tuple[Row, bool]:
        """Fetch a URL into an asset.

        Returns:
            The asset, and whether it is that of an earlier request with the same key.

        Raises:
            InvalidAsset: It would be a folder.
            InvalidParent: The parent is no folder of the owner.
            UrlNotAllowed: The URL is none that we fetch.
            UrlUnreachable: Its server does not answer, or not with a file.
            TooLarge: The file is larger than the limit.
            QuotaExceeded: The user would have too many bytes.
        """
        if body.content_type == FOLDER:
            raise InvalidAsset("A URL cannot be imported as a folder.")
        made = await once.begin(fingerprint_of(body))
        if made is not None:
            return await find(self._db.pool, queries.ONE, made, self._owner_id), True
        draft = AssetCreate(parent_id=body.parent_id)
        await self._maker.check(draft)
        async with self._downloader.get(body.url) as download:
            row = await self._uploads.create_from(
                download.body,
                draft,
                once,
                name=body.name or _name(download),
                claimed=body.content_type or download.content_type,
            )
        return row, False


def _name(download: Download) -> str:
    """Return a file's name: as its server calls it, else as the URL ends, else the host."""
    for name in (_declared_name(download.disposition), unquote(download.url.path)):
        last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
        clean = "".join(c if c.isprintable() else "_" for c in last).strip()
        if clean not in ("", ".", ".."):
            return clean[-MAX_NAME_CHARS:]
    return download.url.host


def _declared_name(disposition: str | None) -> str:
    """Return the name in a Content-Disposition, in either of its forms (RFC 6266)."""
    header = Message()
    header["Content-Disposition"] = " ".join((disposition or "").split())
    given = header.get_params([], "Content-Disposition")
    names = [value for key, value in given if key.lower() == "filename"]
    # `filename*` says it better than the `filename` beside it.
    best = next((name for name in names if isinstance(name, tuple)), next(iter(names), ""))
    return collapse_rfc2231_value(best)
