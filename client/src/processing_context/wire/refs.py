"""References: how a value that is a file travels in params, results, messages and events."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict


class AssetRef(BaseModel):
    """A file: carried in `data`, named by `asset_id` or by `uri`; the first that is there wins.

    A ref that leaves the process carries `asset_id` or a stable `uri` of the service's storage
    routes, never bytes and never a presigned URL.
    """

    model_config = ConfigDict(extra="allow", ser_json_bytes="base64", val_json_bytes="base64")

    ref_type: ClassVar[str] = "asset"

    type: str = "asset"
    uri: str = ""
    asset_id: str | None = None
    data: Any = None
    metadata: dict[str, Any] | None = None

    def is_empty(self) -> bool:
        """Whether it names nothing. Empty bytes are something."""
        return self.data is None and not self.asset_id and not self.uri

    def is_set(self) -> bool:
        """Whether it names something."""
        return not self.is_empty()


class ImageRef(AssetRef):
    """An image."""

    type: Literal["image"] = "image"
    data: bytes | None = None


class AudioRef(AssetRef):
    """A sound."""

    type: Literal["audio"] = "audio"
    data: bytes | None = None


class VideoRef(AssetRef):
    """A video."""

    type: Literal["video"] = "video"
    data: bytes | None = None


class TextRef(AssetRef):
    """A text file, UTF-8 unless its content type says otherwise."""

    type: Literal["text"] = "text"
    data: bytes | None = None


class DocumentRef(AssetRef):
    """A document such as PDF or DOCX."""

    type: Literal["document"] = "document"
    data: bytes | None = None


class FolderRef(AssetRef):
    """A folder of assets."""

    type: Literal["folder"] = "folder"


class ModelRef(AssetRef):
    """A fitted estimator in skops format."""

    type: Literal["model_ref"] = "model_ref"
    data: bytes | None = None


class DataframeRef(AssetRef):
    """A table: columns and rows in the ref where it is small, else a Parquet file."""

    type: Literal["dataframe"] = "dataframe"
    columns: list[Any] | None = None
    data: list[list[Any]] | None = None


REF_TYPES: dict[str, type[AssetRef]] = {
    "asset": AssetRef,
    "image": ImageRef,
    "audio": AudioRef,
    "video": VideoRef,
    "text": TextRef,
    "document": DocumentRef,
    "folder": FolderRef,
    "model_ref": ModelRef,
    "dataframe": DataframeRef,
}
"""The class of each `type`."""
