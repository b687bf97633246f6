"""Results of nodes as they are sent to the service: small JSON, and refs to stored files."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from processing_context.nodes.errors import UnsendableError
from processing_context.nodes.runner.values import (
    TooMuchError,
    WireValue,
    json_bytes,
    to_wire,
)
from processing_context.resources.temp import STABLE_PATH, temp_id_of
from processing_context.wire.media_types import HEAD_BYTES, UNKNOWN, extension_of, image_type
from processing_context.wire.refs import AssetRef

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext

INLINE_BYTES = 32 * 1024
"""Larger JSON is stored as a file: an event has at most 64 KiB, with its envelope."""

RESULT_BYTES = 56 * 1024
"""Limit of all results of a job, which are sent in one event."""


async def publish_rest(
    slots: Mapping[str, Any], shown: Mapping[str, bytes], publisher: TempPublisher
) -> dict[str, bytes]:
    """Return `shown` with the JSON of the other slots: refs to files with their values.

    Raises:
        UnsendableError: A value has no JSON form.
    """
    rest = [name for name in slots if name not in shown]
    return {**shown} | {name: json_bytes(await publisher.publish(slots[name])) for name in rest}


def inline(slots: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the JSON of the slots that fit into an event: small values without bytes.

    Raises:
        UnsendableError: A value has no JSON form.
    """
    shown: dict[str, bytes] = {}
    left = INLINE_BYTES
    for name, value in slots.items():
        try:
            wire = to_wire(value, max_units=left)
        except TooMuchError:
            continue
        if not wire.files:
            encoded = json_bytes(wire.value)
            if len(encoded) <= left:
                shown[name] = encoded
                left -= len(encoded)
    return shown


class TempPublisher:
    """Stores values that do not fit into an event as temporary files."""

    def __init__(self, context: ProcessingContext) -> None:
        """Store files with a context."""
        self._context = context

    async def publish(self, value: Any) -> Any:
        """Return the JSON of a value, with refs to temporary files."""
        wire = await _to_wire(value)
        for file in wire.files:
            content = await self._context.asset_to_bytes(file.ref)
            extension = extension_of(_content_type(file.ref.type, content))
            file.target["uri"] = await self._store(content, extension)
        large = await _too_large(wire.value)
        if large is None:
            return wire.value
        extension = "txt" if isinstance(wire.value, str) else "json"
        return {"type": _kind(wire.value), "uri": await self._store(large, extension)}

    async def _store(self, content: bytes, extension: str) -> str:
        url = await self._context.create_temp_asset(io.BytesIO(content), extension)
        return STABLE_PATH + temp_id_of(url)  # the URL is presigned and expires


class AssetPublisher:
    """Stores the bytes of a job's result as permanent assets with the name of the output."""

    def __init__(self, context: ProcessingContext, name: str) -> None:
        """Store assets with a context under a name."""
        self._context = context
        self._name = name

    async def publish(self, value: Any) -> Any:
        """Return the JSON of a value, with refs to assets."""
        wire = await _to_wire(value)
        for file in wire.files:
            file.target["asset_id"] = await self._store(file.ref)
        content = await _too_large(wire.value)
        return wire.value if content is None else await self.as_file(wire.value, content)

    async def as_file(self, value: Any, content: bytes) -> dict[str, Any]:
        """Store a value as an asset; return a ref to it."""
        content_type = "text/plain" if isinstance(value, str) else "application/json"
        asset = await self._context.create_asset(self._name, content_type, content)
        return {"type": _kind(value), "uri": "", "asset_id": asset.id}

    async def _store(self, ref: AssetRef) -> str:
        content = await self._context.asset_to_bytes(ref)
        content_type = _content_type(ref.type, content)
        return (await self._context.create_asset(self._name, content_type, content)).id


async def fit_result(
    result: dict[str, Any], publishers: Mapping[str, AssetPublisher]
) -> dict[str, Any]:
    """Return a job's result in a size that fits its last event: the largest values become files.

    Raises:
        UnsendableError: There are too many results.
    """
    contents = {name: json_bytes(value) for name, value in result.items()}
    total = sum(len(name) + len(content) + 4 for name, content in contents.items())
    fitting = dict(result)
    for name in sorted(contents, key=lambda name: len(contents[name]), reverse=True):
        if total <= RESULT_BYTES:
            return fitting
        fitting[name] = await publishers[name].as_file(result[name], _plain(result[name]))
        total += len(json_bytes(fitting[name])) - len(contents[name])
    if total > RESULT_BYTES:
        raise UnsendableError(f"the results have {total} bytes, even with large ones as files")
    return fitting


async def _to_wire(value: Any) -> WireValue:
    try:
        return to_wire(value, max_units=INLINE_BYTES)
    except TooMuchError:
        return await asyncio.to_thread(to_wire, value)


async def _too_large(value: Any) -> bytes | None:
    content = await asyncio.to_thread(json_bytes, value)
    if len(content) <= INLINE_BYTES:
        return None
    return _plain(value) if isinstance(value, str) else content


def _content_type(kind: str, content: bytes) -> str:
    try:
        return image_type(content[:HEAD_BYTES])
    except ValueError:
        return "text/plain" if kind == "text" else UNKNOWN


def _plain(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else json_bytes(value)


def _kind(value: Any) -> str:
    return "text" if isinstance(value, str) else "asset"
