"""Conversion of values to JSON whose refs contain no bytes."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Iterator
from typing import IO, Any
from urllib.parse import parse_qs, urlsplit

from processing_context._refs import ref_bytes
from processing_context.resources.temp import STABLE_PATH, temp_id_of
from processing_context.wire.media_types import HEAD_BYTES, extension_of, image_type

_HOLD_BYTES = ("image", "audio", "video", "text", "document", "model_ref")

Store = Callable[[IO[bytes], str], Awaitable[str]]


async def without_bytes(
    value: Any, *, open_ref: Callable[[Any], Awaitable[IO[bytes]]], store: Store
) -> Any:
    """Return a value as JSON with URIs in place of bytes in its refs; the value is not changed.

    Args:
        value: Any value, with refs at any depth.
        open_ref: Returns the bytes of a ref.
        store: Stores a file with an extension; returns its stable URI.

    Raises:
        ValueError: A part of the value has no JSON form; the message names it.
    """
    from processing_context.nodes.runner.values import to_wire

    wire = to_wire(value)
    for file in wire.files:
        uri = file.ref.uri
        if file.ref.data is None and is_presigned_temp(uri):
            file.target["uri"] = STABLE_PATH + temp_id_of(uri)
        else:
            with await open_ref(file.ref) as content:
                file.target["uri"] = await store(content, _extension(content))
    for ref in _with_base64(wire.value):
        content = io.BytesIO(ref_bytes(ref.pop("data")))
        ref["uri"] = await store(content, _extension(content))
    return wire.value


def is_presigned_temp(uri: str) -> bool:
    """Return True for a presigned URL of a temporary file, as `create_temp_asset` returns."""
    if "X-Amz-Signature" not in parse_qs(urlsplit(uri).query):
        return False
    try:
        temp_id_of(uri)
    except ValueError:
        return False
    return True


def _with_base64(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the refs in a JSON value that contain base64."""
    if isinstance(value, list):
        for part in value:
            yield from _with_base64(part)
    elif isinstance(value, dict):
        if value.get("type") in _HOLD_BYTES and isinstance(value.get("data"), str):
            yield value
            return
        for part in value.values():
            yield from _with_base64(part)


def _extension(content: IO[bytes]) -> str:
    """Return the extension of an image by its first bytes; empty for other content."""
    try:
        return extension_of(image_type(content.read(HEAD_BYTES)))
    except ValueError:
        return ""
