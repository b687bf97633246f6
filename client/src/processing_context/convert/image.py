"""Images: bytes, base64, URLs, PIL and numpy, to and from `ImageRef`.

Pillow and numpy come with the extra `image`, imported where they are needed; codecs run in threads.
"""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

from processing_context._arguments import given
from processing_context._extras import require
from processing_context.resources.assets import Assets
from processing_context.resources.files import Files, from_base64, from_data_uri
from processing_context.wire.media_types import HEAD_BYTES, image_type
from processing_context.wire.refs import ImageRef

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

_PNG_LEVEL = 1  # a fifth of the default's time for a sixth more bytes
_TO_RGB = frozenset({"CMYK", "YCbCr", "LAB", "HSV", "RGBX"})
_TO_RGBA = frozenset({"PA", "RGBa"})


class Images:
    """The `image_*` methods of a context.

    Args:
        assets: Where a named image goes.
        files: Where refs and URLs are read.
        stable_url: The uri of the ref of a new asset.
    """

    def __init__(self, assets: Assets, files: Files, stable_url: Callable[[str], str]) -> None:
        self._assets = assets
        self._files = files
        self._stable_url = stable_url

    async def from_io(
        self, buffer: IO[bytes], name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Take an encoded image from a file object."""
        return await self.from_bytes(await asyncio.to_thread(_read_all, buffer), name, parent_id)

    async def from_bytes(
        self, b: bytes, name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Take an encoded image."""
        if not isinstance(b, bytes | bytearray | memoryview):
            raise ValueError(f"encoded bytes are wanted, not {type(b).__name__}")
        data = bytes(b)
        content_type = image_type(data[:HEAD_BYTES])
        if name is None:
            return ImageRef(data=data)
        asset = await self._assets.create(name, content_type, data, parent_id)
        return ImageRef(asset_id=asset.id, uri=self._stable_url(asset.id))

    async def from_base64(
        self, b64: str, name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Take base64, plain or as a data URI."""
        decode = from_data_uri if given(b64, "b64").startswith("data:") else from_base64
        return await self.from_bytes(await asyncio.to_thread(decode, b64), name, parent_id)

    async def from_url(
        self, url: str, name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Download an image."""
        with await self._files.download(url) as file:
            return await self.from_io(file, name, parent_id)

    async def from_pil(
        self, image: Image.Image, name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Encode a PIL image as PNG."""
        pil = _pillow()
        if not isinstance(image, pil.Image):
            raise ValueError(f"a PIL image is wanted, not {type(image).__name__}")
        return await self.from_bytes(await asyncio.to_thread(_encode, image), name, parent_id)

    async def from_numpy(
        self, image: np.ndarray, name: str | None = None, parent_id: str | None = None
    ) -> ImageRef:
        """Encode an array as PNG."""
        data = await asyncio.to_thread(lambda: _encode(_from_array(image)))
        return await self.from_bytes(data, name, parent_id)

    async def to_pil(self, image_ref: Any) -> Image.Image:
        """Decode to a PIL image: orientation applied, RGB, or RGBA where there is alpha."""
        _pillow()
        with await self._files.open_ref(image_ref) as file:
            return await asyncio.to_thread(_decode, file)

    async def to_numpy(self, image_ref: Any) -> np.ndarray:
        """Decode to uint8 of H x W x 3, or x 4 where there is alpha."""
        numpy = require("numpy", extra="image")
        image = await self.to_pil(image_ref)
        array: np.ndarray = await asyncio.to_thread(numpy.array, image)
        return array

    async def to_base64(self, image_ref: Any) -> str:
        """Return PNG as base64."""
        image = await self.to_pil(image_ref)
        return await asyncio.to_thread(lambda: base64.b64encode(_encode(image)).decode())


def _pillow() -> Any:
    return require("PIL.Image", extra="image")


def _read_all(file: IO[bytes]) -> bytes:
    if not hasattr(file, "read"):
        raise ValueError(f"a binary file object is wanted, not {type(file).__name__}")
    if getattr(file, "seekable", lambda: False)():
        file.seek(0)
    data = file.read()
    if isinstance(data, str):
        raise ValueError("the file is open in text mode: open it with mode 'rb'")
    return data


def _encode(image: Image.Image) -> bytes:
    from PIL import ImageOps

    upright = _writable(ImageOps.exif_transpose(image))
    out = io.BytesIO()
    upright.save(out, "PNG", compress_level=_PNG_LEVEL)
    return out.getvalue()


def _writable(image: Image.Image) -> Image.Image:
    """Return the image in a mode that PNG has."""
    if image.mode in _TO_RGB:
        return image.convert("RGB")
    if image.mode in _TO_RGBA:
        return image.convert("RGBA")
    if image.mode == "La":
        return image.convert("LA")
    if image.mode == "F":
        raise ValueError("a PIL image of mode F has no range that is known: convert it first")
    if image.mode == "I":
        low, high = image.getextrema()
        if not 0 <= low <= high <= 65535:  # type: ignore[operator]
            raise ValueError(
                f"a PIL image of mode I holds {low}..{high}; PNG has 16 bits, 0..65535"
            )
        return image.convert("I;16")
    return image


def _decode(file: IO[bytes]) -> Image.Image:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            image.load()
            return _as_rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise ValueError("the image cannot be decoded: it is of no known format") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as exc:
        raise ValueError(f"the image cannot be decoded: {exc}") from exc


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("the image holds floats (mode F), whose range is not known")
    if image.mode.startswith("I"):  # 16 bits; convert() would clip at 255
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _from_array(array: Any) -> Image.Image:
    numpy = require("numpy", extra="image")
    pil = _pillow()
    array = numpy.asarray(array)
    shape, dtype = array.shape, array.dtype
    is_image = array.ndim == 2 or (array.ndim == 3 and shape[2] in (1, 3, 4))
    if not is_image or 0 in shape:
        raise ValueError(f"an image is H x W or H x W x 1, 3 or 4, not of shape {shape}")
    if numpy.issubdtype(dtype, numpy.floating):
        array = _from_floats(array)
    elif dtype != numpy.uint8:
        raise ValueError(f"an image is uint8, or float in [0, 1], not {dtype}")
    if array.ndim == 3 and shape[2] == 1:
        array = array[:, :, 0]
    image: Image.Image = pil.fromarray(numpy.ascontiguousarray(array))
    return image


def _from_floats(array: np.ndarray) -> np.ndarray:
    import numpy as np

    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):  # NaN fails too
        raise ValueError(
            f"a float image holds values in [0, 1], not {low:g}..{high:g} ({array.dtype})"
        )
    scaled: np.ndarray = np.rint(array * 255).astype(np.uint8)
    return scaled
