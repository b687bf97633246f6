"""Refs in values: their parts, their bytes and their classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from processing_context.convert.data_uri import from_base64, from_data_uri
from processing_context.wire.refs import REF_TYPES

_KEYS = frozenset({"uri", "asset_id", "data"})


def ref_parts(ref: Any) -> tuple[Any, str | None, str]:
    """Return `data`, `asset_id` and `uri` of a ref, or of an object or dict of the same shape.

    Raises:
        ValueError: The value does not have that shape.
    """
    if isinstance(ref, Mapping) and "type" in ref:
        return ref.get("data"), ref.get("asset_id"), ref.get("uri") or ""
    if all(hasattr(ref, name) for name in ("uri", "asset_id", "data")):
        return ref.data, ref.asset_id, ref.uri or ""
    raise ValueError(
        f"expected a ref (with uri, asset_id and data; type if a dict), not {type(ref).__name__}"
    )


def ref_bytes(data: Any) -> bytes:
    """Return the bytes in the `data` of a ref; base64 if the ref was JSON.

    Raises:
        ValueError: The data is neither bytes nor base64.
    """
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    if isinstance(data, str):  # a ref from JSON
        return from_data_uri(data) if data.startswith("data:") else from_base64(data)
    raise ValueError(f"data of a ref must be bytes or base64, not {type(data).__name__}")


def with_refs(value: Any) -> Any:
    """Return a JSON value with refs in place of dicts of their shape."""
    if isinstance(value, list):
        return [with_refs(part) for part in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("type")
    if isinstance(kind, str) and kind in REF_TYPES and not _KEYS.isdisjoint(value):
        try:
            return REF_TYPES[kind].model_validate(value)
        except ValidationError:
            return value  # an object that is not a ref, with the same `type`
    return {key: with_refs(part) for key, part in value.items()}
