"""Models of assets, uploads and temporary files."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from processing_context.wire import media_types
from processing_context.wire.base import Id, Name, Reply, Request, Text, Timestamp, Update
from processing_context.wire.errors import Problem

FOLDER = "folder"
"""The content type of a folder."""

MAX_BATCH = 100
"""Largest number of assets in one batch."""

MAX_BATCH_BYTES = 1024 * 1024
"""Largest total size of the files of one batch."""

ContentType = Annotated[
    str,
    StringConstraints(
        max_length=media_types.MAX_CHARS, pattern=rf"^({FOLDER}|{media_types.PATTERN})$"
    ),
]
"""A media type such as `image/png`, or `folder`."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 as 64 lowercase hex characters."""


class Asset(Reply):
    """A file or folder of a user. `duration` is in seconds, `width` and `height` in pixels."""

    id: str
    user_id: str
    workflow_id: str | None
    job_id: str | None
    node_id: str | None
    parent_id: str | None
    name: str
    content_type: str
    size: int
    sha256: str | None
    status: Literal["pending", "ready", "corrupt"]
    metadata: dict[str, Any]
    duration: float | None
    width: int | None
    height: int | None
    created_at: Timestamp
    updated_at: Timestamp
    get_url: str | None
    thumb_url: str | None


class AssetList(Reply):
    """A page of assets; `next` is the cursor of the following page, null on the last one."""

    next: str | None
    assets: list[Asset]


class AssetCreate(Request):
    """The `json` part of an upload. Omitted fields are derived from the `file` part."""

    name: Name | None = None
    content_type: ContentType | None = None
    parent_id: Id | None = None
    workflow_id: Id | None = None
    node_id: Annotated[Text, Field(max_length=1000)] | None = None
    metadata: dict[str, Any] = {}


class BatchItem(Request):
    """An asset of a batch, with the size of its content and an optional idempotency key."""

    asset: AssetCreate
    size: Annotated[int, Field(ge=0, le=MAX_BATCH_BYTES)]
    idempotency_key: Annotated[str, StringConstraints(pattern=r"^[ -~]{1,255}$")] | None = None


class AssetBatch(Request):
    """The `json` part of a batch upload of small files; the part `file` holds their content.

    The files are concatenated in the order of the items; together they have at most 1 MiB.
    """

    assets: Annotated[list[BatchItem], Field(min_length=1, max_length=MAX_BATCH)]

    @model_validator(mode="after")
    def _keys_differ(self) -> Self:
        keys = [item.idempotency_key for item in self.assets if item.idempotency_key is not None]
        if len(set(keys)) < len(keys):
            raise ValueError("each asset needs an idempotency_key of its own")
        return self


class BatchResult(Reply):
    """The result of one asset of a batch: the asset, or the problem that prevented its creation.

    `is_replay` is true if an earlier request with the same idempotency key created the asset.
    """

    asset: Asset | None
    problem: Problem | None
    is_replay: bool


class BatchResults(Reply):
    """The results of a batch, in the order of its items."""

    results: list[BatchResult]


class AssetsFind(Request):
    """A request for the metadata of many assets."""

    asset_ids: Annotated[list[Id], Field(max_length=1000)]


class AssetsFound(Reply):
    """The requested assets that exist, in any order."""

    assets: list[Asset]


class AssetUpdate(Update):
    """Changes to an asset. Omitted fields are unchanged; `parent_id` null: the top level."""

    nullable: ClassVar[frozenset[str]] = frozenset({"parent_id"})

    name: Name | None = None
    parent_id: Id | None = None
    metadata: dict[str, Any] | None = None
    content_type: ContentType | None = None


class UploadCreate(Request):
    """A reservation of an asset whose content the client uploads straight to storage."""

    name: Name
    content_type: ContentType
    size: Annotated[int, Field(ge=0)]
    sha256: Sha256 | None = None
    parent_id: Id | None = None
    workflow_id: Id | None = None
    node_id: Annotated[Text, Field(max_length=1000)] | None = None
    metadata: dict[str, Any] = {}


class AssetImport(Request):
    """An asset to create from a URL. Omitted fields are taken from the response of its server."""

    url: Annotated[str, Field(min_length=1, max_length=8192)]
    name: Name | None = None
    parent_id: Id | None = None
    content_type: ContentType | None = None


class ArchiveCreate(Request):
    """The assets to put into a zip archive."""

    asset_ids: Annotated[list[Id], Field(min_length=1, max_length=1000)]


class UploadPart(Reply):
    """A presigned URL for the PUT of one part."""

    part_number: int
    url: str


class PutUpload(Reply):
    """Upload by a single PUT; `headers` must be sent unchanged."""

    kind: Literal["put"] = "put"
    url: str
    headers: dict[str, str]
    expires_at: Timestamp


class MultipartUpload(Reply):
    """S3 multipart upload, with the URLs of its first parts."""

    kind: Literal["multipart"] = "multipart"
    part_size: int
    part_count: int
    parts: list[UploadPart]
    expires_at: Timestamp


class StoredPart(Reply):
    """A part that storage has received."""

    part_number: int
    size: int
    etag: str


class MultipartState(MultipartUpload):
    """The state of a multipart upload; `parts` holds the URLs of missing parts."""

    stored: list[StoredPart]


class UploadReserved(Reply):
    """The pending asset and the upload of its content."""

    asset: Asset
    upload: Annotated[PutUpload | MultipartUpload, Field(discriminator="kind")]


class CompletedPart(Request):
    """The number and the ETag of an uploaded part."""

    part_number: Annotated[int, Field(ge=1, le=10_000)]
    etag: Annotated[str, Field(max_length=200)]


class UploadComplete(Request):
    """The parts of the finished object; if omitted, the parts that storage has received.

    `sha256` is for clients that did not know it when they reserved the upload. It is verified in
    the same way.
    """

    parts: list[CompletedPart] | None = None
    sha256: Sha256 | None = None


class PresignedUrl(Reply):
    """A presigned URL, valid without authentication headers until `expires_at`."""

    url: str
    expires_at: Timestamp


class UrlsCreate(Request):
    """A request for the presigned URLs of many files, at most 1,000 in total."""

    asset_ids: list[Id] = []
    temp_ids: list[Id] = []
    expires_in: Annotated[int, Field(ge=1, le=604_800)] = 3600

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if len(self.asset_ids) + len(self.temp_ids) > 1000:
            raise ValueError("asset_ids and temp_ids together hold at most 1,000 ids")
        return self


class Urls(Reply):
    """Presigned URLs by id. Ids of files that do not exist or cannot be read are omitted."""

    urls: dict[str, str]


class TempUploadCreate(Request):
    """A reservation of a temporary file."""

    ext: Annotated[str, StringConstraints(pattern=r"^\.?[A-Za-z0-9]{0,16}$")] = ""
    content_type: ContentType | None = None
    size: Annotated[int, Field(ge=0)] | None = None


class TempAsset(Reply):
    """A temporary file, deleted after `expires_at`. `id` is `<hex>.<ext>`."""

    id: str
    get_url: str | None
    put_url: str | None
    size: int | None
    content_type: str
    expires_at: Timestamp
