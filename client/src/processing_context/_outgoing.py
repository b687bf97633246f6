"""Values on their way out of and into this process: refs travel without bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from processing_context.resources.files import Files, ref_bytes
from processing_context.resources.temp import STABLE_PATH, TempFiles, temp_id_of
from processing_context.wire.media_types import HEAD_BYTES, extension_of, image_type
from processing_context.wire.refs import REF_TYPES

_REF_KEYS = frozenset({"uri", "asset_id", "data"})
_HOLD_BYTES = ("image", "audio", "video", "text", "document", "model_ref")


def with_refs(value: Any) -> Any:
    """Return a JSON value with every dict of the shape of a ref as its class."""
    if isinstance(value, list):
        return [with_refs(part) for part in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("type")
    if isinstance(kind, str) and kind in REF_TYPES and not _REF_KEYS.isdisjoint(value):
        try:
            return REF_TYPES[kind].model_validate(value)
        except ValidationError:
            return value  # something else that calls itself by the same type
    return {key: with_refs(part) for key, part in value.items()}


class Outgoing:
    """Makes values fit for the service: what they refer to is stored, and they carry its name.

    Args:
        files: Reads what refs name.
        temp: Takes their bytes.
    """

    def __init__(self, files: Files, temp: TempFiles) -> None:
        self._files = files
        self._temp = temp

    async def __call__(self, value: Any) -> Any:
        """Return a value as JSON; the caller's own objects stay as they are.

        Raises:
            ValueError: Some part of it has no form in JSON; the text says which.
        """
        from processing_context.nodes.runner.values import to_wire

        wire = to_wire(value)
        for file in wire.files:
            uri = file.ref.uri
            if file.ref.data is None and is_presigned_temp(uri):
                file.target["uri"] = STABLE_PATH + temp_id_of(uri)
            else:
                with await self._files.open_ref(file.ref) as content:
                    file.target["uri"] = await self._stored(content)
        for ref in _with_base64(wire.value):
            ref["uri"] = await self._stored(io.BytesIO(ref_bytes(ref.pop("data"))))
        return wire.value

    async def _stored(self, content: IO[bytes]) -> str:
        ext = _extension(content.read(HEAD_BYTES))
        return STABLE_PATH + (await self._temp.create(content, ext)).id


def _with_base64(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the refs in a JSON value that came as JSON, with their bytes as base64."""
    if isinstance(value, list):
        for part in value:
            yield from _with_base64(part)
    elif isinstance(value, dict):
        if value.get("type") in _HOLD_BYTES and isinstance(value.get("data"), str):
            yield value
            return
        for part in value.values():
            yield from _with_base64(part)


def is_presigned_temp(uri: str) -> bool:
    """Whether it is a presigned URL of a temporary file, as `create_temp_asset` gives it."""
    if "X-Amz-Signature" not in parse_qs(urlsplit(uri).query):
        return False
    try:
        temp_id_of(uri)
    except ValueError:
        return False
    return True


def _extension(head: bytes) -> str:
    try:
        return extension_of(image_type(head))
    except ValueError:
        return ""
