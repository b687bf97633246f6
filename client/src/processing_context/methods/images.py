"""Images to and from `ImageRef`."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from processing_context.convert.image import Images
from processing_context.wire.refs import ImageRef

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


class ImageMethods:
    """Needs the extra `image` for PIL and numpy."""

    _images: Images

    async def image_from_io(
        self, buffer: IO[bytes], name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Take an encoded image from a file; with a name it becomes an asset."""
        return await self._images.from_io(buffer, name, parent_id)

    async def image_from_bytes(
        self, b: bytes, name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Take an encoded image; its content type is found from the bytes."""
        return await self._images.from_bytes(b, name, parent_id)

    async def image_from_base64(
        self, b64: str, name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Take an encoded image as base64, plain or as a data URI."""
        return await self._images.from_base64(b64, name, parent_id)

    async def image_from_url(
        self, url: str, name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Download an image."""
        return await self._images.from_url(url, name, parent_id)

    async def image_from_pil(
        self, image: Image.Image, name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Encode a PIL image as PNG."""
        return await self._images.from_pil(image, name, parent_id)

    async def image_from_numpy(
        self, image: np.ndarray, name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Encode an array as PNG: uint8, or float in [0, 1]; H x W, or H x W x 1, 3 or 4."""
        return await self._images.from_numpy(image, name, parent_id)

    async def image_to_pil(self, image_ref: Any) -> Image.Image:
        """Decode an image: orientation applied, mode RGB, or RGBA where there is alpha."""
        return await self._images.to_pil(image_ref)

    async def image_to_numpy(self, image_ref: Any) -> np.ndarray:
        """Decode an image to uint8 of H x W x 3, or x 4 where there is alpha."""
        return await self._images.to_numpy(image_ref)

    async def image_to_base64(self, image_ref: Any) -> str:
        """Return an image as PNG in base64."""
        return await self._images.to_base64(image_ref)
