"""Images to and from `ImageRef`: encoded bytes, base64, URLs, PIL and numpy.

Pillow and numpy are in the extra `image`; codecs run in threads.
"""

from __future__ import annotations

import asyncio
import base64
from typing import IO, TYPE_CHECKING, Any

from processing_context._arguments import given, read_binary
from processing_context.convert import image as codec
from processing_context.convert.data_uri import from_base64, from_data_uri
from processing_context.resources.files import FileMethods
from processing_context.wire.media_types import HEAD_BYTES, image_type
from processing_context.wire.refs import ImageRef

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


class ImageMethods(FileMethods):
    """Conversions of images."""

    async def image_from_io(
        self, buffer: IO[bytes], name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Return a ref to an encoded image from a file; with `name=` it is stored as an asset."""
        data = await asyncio.to_thread(read_binary, buffer)
        return await self.image_from_bytes(data, name, parent_id)

    async def image_from_bytes(
        self, b: bytes, name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Return a ref to an encoded image; its content type is detected."""
        if not isinstance(b, bytes | bytearray | memoryview):
            raise ValueError(f"b= must be the bytes of an encoded image, not {type(b).__name__}")
        data = bytes(b)
        content_type = image_type(data[:HEAD_BYTES])
        if name is None:
            return ImageRef(data=data)
        asset = await self.create_asset(name, content_type, data, parent_id)
        return ImageRef(asset_id=asset.id, uri=self.asset_storage_url(asset.id))

    async def image_from_base64(
        self, b64: str, name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Return a ref to an encoded image given as base64 or as a data URI."""
        decode = from_data_uri if given(b64, "b64").startswith("data:") else from_base64
        return await self.image_from_bytes(await asyncio.to_thread(decode, b64), name, parent_id)

    async def image_from_url(
        self, url: str, name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Download an image and return a ref to it."""
        with await self.download_file(url) as file:
            return await self.image_from_io(file, name, parent_id)

    async def image_from_pil(
        self, image: Image.Image, name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Encode a PIL image as PNG and return a ref to it."""
        data = await asyncio.to_thread(codec.encode_png, image)
        return await self.image_from_bytes(data, name, parent_id)

    async def image_from_numpy(
        self, image: np.ndarray, name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Encode an array as PNG: uint8, or float in [0, 1]; H x W, or H x W x 1, 3 or 4."""
        pil = await asyncio.to_thread(codec.image_from_array, image)
        return await self.image_from_pil(pil, name, parent_id)

    async def image_to_pil(self, image_ref: Any) -> Image.Image:
        """Decode an image: orientation applied, mode RGB, or RGBA if it has transparency."""
        codec.require_pillow()
        with await self.asset_to_io(image_ref) as file:
            return await asyncio.to_thread(codec.decode_image, file)

    async def image_to_numpy(self, image_ref: Any) -> np.ndarray:
        """Decode an image to uint8 of H x W x 3, or x 4 if it has transparency."""
        codec.require_numpy()
        image = await self.image_to_pil(image_ref)
        return await asyncio.to_thread(codec.array_from_image, image)

    async def image_to_base64(self, image_ref: Any) -> str:
        """Return an image as base64 of PNG."""
        image = await self.image_to_pil(image_ref)
        return await asyncio.to_thread(_png_base64, image)


def _png_base64(image: Image.Image) -> str:
    return base64.b64encode(codec.encode_png(image)).decode()
