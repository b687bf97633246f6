"""Import of assets from URLs."""

from __future__ import annotations

from app.assets.creation import AssetCreation
from app.assets.direct_uploads import DirectUploadService
from app.assets.errors import InvalidAsset
from app.assets.queries import AssetRecord
from app.assets.service import AssetService
from app.http.auth import Principal
from app.http.idempotency.keys import IdempotencyKey, fingerprint_of
from app.outbound import Downloader
from processing_context.wire.assets import FOLDER, AssetCreate, AssetImport


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
        async with self._downloader.get(body.url, name=body.name) as download:
            asset = await self._uploads.create_from(
                principal,
                download.body,
                draft,
                key,
                name=download.name,
                content_type=body.content_type or download.content_type,
            )
        return asset, False
