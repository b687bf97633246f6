"""Video to `VideoRef`: encoded bytes."""

from __future__ import annotations

import asyncio
from typing import IO

from processing_context._arguments import read_binary
from processing_context.resources.files import FileMethods
from processing_context.wire.media_types import HEAD_BYTES, media_type
from processing_context.wire.refs import VideoRef

_ANIMATED = "image"  # GIF, WebP and AVIF may be animated


class VideoMethods(FileMethods):
    """Conversions of video."""

    async def video_from_io(
        self, buffer: IO[bytes], name: str | None = None, parent_id: str | None = None
    ) -> VideoRef:
        """Return a ref to an encoded video from a file; with `name=` it is stored as an asset."""
        data = await asyncio.to_thread(read_binary, buffer)
        return await self.video_from_bytes(data, name, parent_id)

    async def video_from_bytes(
        self, b: bytes, name: str | None = None, parent_id: str | None = None
    ) -> VideoRef:
        """Return a ref to an encoded video, or an animated image; its content type is detected.

        Raises:
            ValueError: The bytes are empty, or not of a known format.
        """
        if not isinstance(b, bytes | bytearray | memoryview):
            raise ValueError(f"b= must be the bytes of an encoded video, not {type(b).__name__}")
        data = bytes(b)
        content_type = media_type(data[:HEAD_BYTES], "video", _ANIMATED)
        if name is None:
            return VideoRef(data=data)
        asset = await self.create_asset(name, content_type, data, parent_id)
        return VideoRef(asset_id=asset.id, uri=self.asset_storage_url(asset.id))
