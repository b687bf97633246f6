"""Conversion of values to JSON, with refs for files."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import to_json

from processing_context.nodes.errors import UnsendableError
from processing_context.wire.refs import REF_TYPES, AssetRef

_MAX_DEPTH = 100
_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1
_REF_KEYS = ("uri", "asset_id", "data")
_STABLE = ("/v1/storage/assets/", "/v1/storage/temp/")


class TooMuchError(Exception):
    """A value has more parts than the limit."""


@dataclass(slots=True)
class PendingFile:
    """A ref whose bytes must be stored; its new id or URI is written to `target`."""

    ref: AssetRef
    target: dict[str, Any]


@dataclass(slots=True)
class WireValue:
    """A value in JSON form, complete when `files` are stored."""

    value: Any
    files: list[PendingFile] = field(default_factory=list)


def to_wire(value: Any, *, max_units: int | None = None) -> WireValue:
    """Return a value in JSON form.

    Args:
        value: A value that a node returned.
        max_units: Limit of the number of elements and characters.

    Raises:
        UnsendableError: A part of the value has no JSON form; the message names it.
        TooMuchError: The value exceeds `max_units`.
    """
    walk = _Converter(max_units)
    return WireValue(walk.of(value), walk.files)


def json_bytes(value: Any) -> bytes:
    """Return a wire value as compact JSON."""
    return to_json(value)


class _Converter:
    def __init__(self, max_units: int | None) -> None:
        self.files: list[PendingFile] = []
        self._left = math.inf if max_units is None else max_units
        self._path: list[str | int] = []

    def of(self, value: Any) -> Any:
        self._left -= 1 if not isinstance(value, str) else len(value) + 1
        if self._left < 0:
            raise TooMuchError
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, enum.Enum):
            return self.of(value.value)
        if isinstance(value, str | int | float):
            return self._scalar(value)
        if isinstance(value, Mapping):
            return self._ref(value) if _is_ref(value) else self._mapping(value)
        if isinstance(value, list | tuple):
            return self._sequence(value)
        return self._object(value)

    def _scalar(self, value: str | float) -> Any:
        if isinstance(value, str):
            if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
                raise self._unsendable("is a string with an unpaired surrogate")
            return str(value)
        if isinstance(value, int):
            if not _MIN_INT <= value <= _MAX_INT:
                raise self._unsendable("is an integer of more than 64 bits; send it as a string")
            return int(value)
        if not math.isfinite(value):
            raise self._unsendable(f"is {value}, which has no JSON form")
        return float(value)

    def _mapping(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        walked = {}
        for key, part in value.items():
            if not isinstance(key, str):
                raise self._unsendable(f"has the key {key!r}; JSON keys must be strings")
            walked[self._scalar(key)] = self._within(key, part)
        return walked

    def _sequence(self, value: list[Any] | tuple[Any, ...]) -> list[Any]:
        return [self._within(index, part) for index, part in enumerate(value)]

    def _within(self, key: str | int, value: Any) -> Any:
        if len(self._path) >= _MAX_DEPTH:
            raise self._unsendable(
                f"is nested more than {_MAX_DEPTH} levels deep, or contains itself"
            )
        self._path.append(key)
        walked = self.of(value)
        self._path.pop()
        return walked

    def _object(self, value: Any) -> Any:
        if isinstance(value, AssetRef):
            return self._ref(dict(value))
        if isinstance(value, BaseModel):
            return self._mapping(dict(value))
        if isinstance(value, bytes | bytearray | memoryview):
            return self._ref({"type": AssetRef.ref_type, "data": bytes(value)})
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        if isinstance(value, UUID):
            return str(value)
        if all(hasattr(value, name) for name in _REF_KEYS):
            kind = getattr(value, "type", AssetRef.ref_type)
            return self._ref({"type": kind, **{name: getattr(value, name) for name in _REF_KEYS}})
        if getattr(value, "shape", None) == () and hasattr(value, "item"):
            return self.of(value.item())
        raise self._unsendable(f"is a {_type_name(value)}, which has no JSON form{_hint(value)}")

    def _ref(self, ref: Mapping[str, Any]) -> dict[str, Any]:
        data, uri = ref.get("data"), ref.get("uri") or ""
        rest = {
            name: part
            for name, part in ref.items()
            if name not in _REF_KEYS and (part is not None or name not in ("metadata", "columns"))
        }
        walked = self._mapping(rest)
        walked["uri"] = uri if is_stable(uri) or not is_secret(uri) else ""
        if ref.get("asset_id"):
            walked |= {"asset_id": self._within("asset_id", ref["asset_id"])}
            walked["uri"] = uri if is_stable(uri) else ""
        elif isinstance(data, bytes | bytearray | memoryview):
            self._file(AssetRef(type=str(ref["type"]), data=bytes(data)), walked)
        elif data is not None:
            walked["data"] = self._within("data", data)
        elif uri and walked["uri"] != uri:
            self._file(AssetRef(type=str(ref["type"]), uri=uri), walked)
        return walked

    def _file(self, ref: AssetRef, target: dict[str, Any]) -> None:
        target["uri"] = ""
        self.files.append(PendingFile(ref, target))

    def _unsendable(self, what: str) -> UnsendableError:
        where = "".join(f"[{key!r}]" for key in self._path[:10])
        return UnsendableError(f"the value{where} {what}")


def is_stable(uri: str) -> bool:
    """Return True for a URI of the service's storage routes, which does not expire."""
    return urlsplit(uri).path.startswith(_STABLE)


def is_secret(uri: str) -> bool:
    """Return True if a URI contains bytes or a signature, or is valid only on this machine."""
    parts = urlsplit(uri)
    return parts.scheme not in ("http", "https") or "x-amz-signature=" in parts.query.lower()


def _is_ref(value: Mapping[Any, Any]) -> bool:
    kind = value.get("type")
    return isinstance(kind, str) and kind in REF_TYPES and any(name in value for name in _REF_KEYS)


def _type_name(value: Any) -> str:
    kind = type(value)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return module + kind.__qualname__


def _hint(value: Any) -> str:
    module = type(value).__module__.split(".")[0]
    methods = {
        "PIL": "image_from_pil",
        "numpy": "image_from_numpy, or .tolist()",
        "pandas": "dataframe_from_pandas",
        "pydub": "audio_from_segment",
        "sklearn": "from_estimator",
    }
    return f"; return a ref: context.{methods[module]}" if module in methods else ""
