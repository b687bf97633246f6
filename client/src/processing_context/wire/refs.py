"""References to files in params, results, messages and events."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict


class AssetRef(BaseModel):
    """A reference to a file by `data`, `asset_id` or `uri`; the first that is set is used.

    In requests and stored events a ref carries `asset_id` or a stable `uri` of the service's
    storage routes, never bytes and never a presigned URL.
    """

    model_config = ConfigDict(extra="allow", ser_json_bytes="base64", val_json_bytes="base64")

    ref_type: ClassVar[str] = "asset"

    type: str = "asset"
    uri: str = ""
    asset_id: str | None = None
    data: Any = None
    metadata: dict[str, Any] | None = None

    def is_empty(self) -> bool:
        """Return True if no part is set. Empty bytes count as set."""
        return self.data is None and not self.asset_id and not self.uri

    def is_set(self) -> bool:
        """Return True if `data`, `asset_id` or `uri` is set."""
        return not self.is_empty()


class ImageRef(AssetRef):
    """A reference to an image."""

    type: Literal["image"] = "image"
    data: bytes | None = None


class AudioRef(AssetRef):
    """A reference to an audio file."""

    type: Literal["audio"] = "audio"
    data: bytes | None = None


class VideoRef(AssetRef):
    """A reference to a video."""

    type: Literal["video"] = "video"
    data: bytes | None = None


class TextRef(AssetRef):
    """A reference to a text file; UTF-8 unless its content type has another charset."""

    type: Literal["text"] = "text"
    data: bytes | None = None


class DocumentRef(AssetRef):
    """A reference to a document such as PDF or DOCX."""

    type: Literal["document"] = "document"
    data: bytes | None = None


class FolderRef(AssetRef):
    """A reference to a folder of assets."""

    type: Literal["folder"] = "folder"


class ModelRef(AssetRef):
    """A reference to a fitted estimator in skops format."""

    type: Literal["model_ref"] = "model_ref"
    data: bytes | None = None


class DataframeRef(AssetRef):
    """A reference to a table: columns and rows in the ref if it is small, else a Parquet file."""

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
"""Ref classes by their `type`."""

_KEYS = frozenset({"type", "uri", "asset_id", "data", "metadata", "columns"})


def is_empty_ref(value: Any) -> bool:
    """Return True for a ref without a file, as editors save it for an input without a value.

    Args:
        value: Any value; a ref may be in JSON form, such as `{"type": "image", "uri": ""}`.
    """
    if isinstance(value, AssetRef):
        return value.is_empty()
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return False
    is_known = value["type"] in REF_TYPES and value.keys() <= _KEYS
    is_ref = is_known or not value.keys().isdisjoint(("uri", "asset_id"))
    is_set = value.get("uri") or value.get("asset_id") or value.get("data") is not None
    return is_ref and not is_set
