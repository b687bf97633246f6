"""Assets and temporary files."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from processing_context.wire import media_types
from processing_context.wire.base import Id, Name, Reply, Request, Text, Timestamp, Update
from processing_context.wire.errors import Problem

FOLDER = "folder"
"""The content type of a folder."""

MAX_BATCH = 100
"""How many assets one batch makes."""

MAX_BATCH_BYTES = 1024 * 1024
"""How many bytes they have together."""

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
    """A file (or folder) of a user. `duration` in seconds, `width` and `height` in pixels."""

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
    """A page of assets; `next` is the cursor of the following page, null on the last."""

    next: str | None
    assets: list[Asset]


class AssetCreate(Request):
    """The `json` part of an upload. What is left out comes from the file part."""

    name: Name | None = None
    content_type: ContentType | None = None
    parent_id: Id | None = None
    workflow_id: Id | None = None
    node_id: Annotated[Text, Field(max_length=1000)] | None = None
    metadata: dict[str, Any] = {}


class BatchItem(Request):
    """One asset of a batch, the size of its bytes, and its own idempotency key."""

    asset: AssetCreate
    size: Annotated[int, Field(ge=0, le=MAX_BATCH_BYTES)]
    idempotency_key: Annotated[str, StringConstraints(pattern=r"^[ -~]{1,255}$")] | None = None


class AssetBatch(Request):
    """The `json` part of many small uploads in one request: its part `file` holds their bytes.

    Those follow each other in the order of the items, together at most 1 MiB.
    """

    assets: Annotated[list[BatchItem], Field(min_length=1, max_length=MAX_BATCH)]

    @model_validator(mode="after")
    def _keys_differ(self) -> Self:
        keys = [item.idempotency_key for item in self.assets if item.idempotency_key is not None]
        if len(set(keys)) < len(keys):
            raise ValueError("each asset needs an idempotency_key of its own")
        return self


class BatchResult(Reply):
    """What became of one asset of a batch: the asset, or why there is none.

    `is_replay`: it was made by an earlier request with the same key.
    """

    asset: Asset | None
    problem: Problem | None
    is_replay: bool


class BatchResults(Reply):
    """What became of each asset of a batch, in their order."""

    results: list[BatchResult]


class AssetsFind(Request):
    """Ask for many assets at once."""

    asset_ids: Annotated[list[Id], Field(max_length=1000)]


class AssetsFound(Reply):
    """Those of the assets that are there, in any order."""

    assets: list[Asset]


class AssetUpdate(Update):
    """What a PATCH may change; a field left out stays as it is. `parent_id` null: to the top."""

    nullable: ClassVar[frozenset[str]] = frozenset({"parent_id"})

    name: Name | None = None
    parent_id: Id | None = None
    metadata: dict[str, Any] | None = None
    content_type: ContentType | None = None


class UploadCreate(Request):
    """Reserve an asset whose bytes the caller puts straight into storage."""

    name: Name
    content_type: ContentType
    size: Annotated[int, Field(ge=0)]
    sha256: Sha256 | None = None
    parent_id: Id | None = None
    workflow_id: Id | None = None
    node_id: Annotated[Text, Field(max_length=1000)] | None = None
    metadata: dict[str, Any] = {}


class AssetImport(Request):
    """Make an asset of what a URL leads to; what is left out comes from its server."""

    url: Annotated[str, Field(min_length=1, max_length=8192)]
    name: Name | None = None
    parent_id: Id | None = None
    content_type: ContentType | None = None


class ArchiveCreate(Request):
    """Which assets go into a zip."""

    asset_ids: Annotated[list[Id], Field(min_length=1, max_length=1000)]


class UploadPart(Reply):
    """Where to PUT one part."""

    part_number: int
    url: str


class PutUpload(Reply):
    """One PUT; `headers` must be sent as given."""

    kind: Literal["put"] = "put"
    url: str
    headers: dict[str, str]
    expires_at: Timestamp


class MultipartUpload(Reply):
    """S3 multipart: the first parts' URLs."""

    kind: Literal["multipart"] = "multipart"
    part_size: int
    part_count: int
    parts: list[UploadPart]
    expires_at: Timestamp


class StoredPart(Reply):
    """A part that storage has."""

    part_number: int
    size: int
    etag: str


class MultipartState(MultipartUpload):
    """Where a multipart upload stands; `parts` holds URLs of missing ones."""

    stored: list[StoredPart]


class UploadReserved(Reply):
    """The pending asset and where its bytes go."""

    asset: Asset
    upload: Annotated[PutUpload | MultipartUpload, Field(discriminator="kind")]


class CompletedPart(Request):
    """A part as the caller knows it."""

    part_number: Annotated[int, Field(ge=1, le=10_000)]
    etag: Annotated[str, Field(max_length=200)]


class UploadComplete(Request):
    """Which parts make the object; left out: those that storage has.

    `sha256` is for whoever did not know it when the upload was reserved, and is checked as if it
    had been declared then.
    """

    parts: list[CompletedPart] | None = None
    sha256: Sha256 | None = None


class PresignedUrl(Reply):
    """A URL that needs no header until `expires_at`."""

    url: str
    expires_at: Timestamp


class UrlsCreate(Request):
    """Ask for the URLs of many files at once; together at most 1,000."""

    asset_ids: list[Id] = []
    temp_ids: list[Id] = []
    expires_in: Annotated[int, Field(ge=1, le=604_800)] = 3600

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if len(self.asset_ids) + len(self.temp_ids) > 1000:
            raise ValueError("asset_ids and temp_ids together hold at most 1,000 ids")
        return self


class Urls(Reply):
    """Presigned URLs by id; an id that names nothing readable is left out."""

    urls: dict[str, str]


class TempUploadCreate(Request):
    """Reserve a temporary file."""

    ext: Annotated[str, StringConstraints(pattern=r"^\.?[A-Za-z0-9]{0,16}$")] = ""
    content_type: ContentType | None = None
    size: Annotated[int, Field(ge=0)] | None = None


class TempAsset(Reply):
    """A file that is gone after `expires_at`. `id` is `<hex>.<ext>`."""

    id: str
    get_url: str | None
    put_url: str | None
    size: int | None
    content_type: str
    expires_at: Timestamp
