"""Decoder functions for images, using Pillow.

They run in decoder processes.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import orjson
from PIL import Image, UnidentifiedImageError
from PIL.Image import Transpose

from app.media.decoders.refusals import CannotDecode, TooMuch

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""Accepted Pillow formats: they run no external program or script, and read no other file."""
_ORIENTATION = 0x0112
_TRANSPOSED = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
# Exceptions that Pillow raises on broken files.
_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
    KeyError,
    IndexError,
    TypeError,
)

# Replaced by the limit `max_pixels`, which has an error message of its own.
Image.MAX_IMAGE_PIXELS = None


def facts(source: BinaryIO, *, max_pixels: int) -> bytes:
    """Return JSON with the displayed `width` and `height`; pixels are not decoded."""
    with opened(source, max_pixels) as image:
        width, height = image.size
        if _orientation(image) >= 5:
            width, height = height, width
        return orjson.dumps({"width": width, "height": height})


def thumbnail(source: BinaryIO, *, size: int, max_pixels: int) -> bytes:
    """Return the first image of a file as an upright WebP that fits a square; never enlarged.

    Args:
        source: The image.
        size: The side of the square in pixels.
        max_pixels: The limit for the pixels of the image.
    """
    with opened(source, max_pixels) as image:
        orientation = _orientation(image)
        # JPEG can be decoded at a fraction of its size, which saves time and memory.
        image.draft("RGB", (size * 2, size * 2))
        plain = _plain(image)
        plain.thumbnail((size, size), reducing_gap=2.0)
        if orientation in _TRANSPOSED:
            plain = plain.transpose(_TRANSPOSED[orientation])
        return webp(plain)


def webp(image: Image.Image) -> bytes:
    """Return an image encoded as WebP."""
    out = io.BytesIO()
    image.save(out, "WEBP", quality=80, method=4, icc_profile=image.info.get("icc_profile"))
    return out.getvalue()


@contextmanager
def opened(source: BinaryIO, max_pixels: int) -> Iterator[Image.Image]:
    """Open an image; decoding errors in the block are raised as `CannotDecode`.

    Raises:
        TooMuch: The image has more pixels than the limit.
        CannotDecode: The format is not accepted, or the image is broken.
    """
    try:
        with Image.open(source, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise TooMuch(
                    f"The image has {image.width} x {image.height} pixels; the limit is "
                    f"{max_pixels}."
                )
            yield image
    except UnidentifiedImageError:
        raise CannotDecode(
            f"The file is not an image in one of the formats {', '.join(FORMATS)}."
        ) from None
    except _BROKEN:
        raise CannotDecode("The image is damaged or truncated.") from None


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _BROKEN:
        return 1
    return value if isinstance(value, int) else 1


def _plain(image: Image.Image) -> Image.Image:
    """Return an image in a mode that can be scaled and saved; the alpha channel is kept."""
    if image.mode in ("RGB", "RGBA"):
        image.load()
        return image
    if image.mode.startswith("I;16"):
        # A plain conversion would clip values above 255.
        deep = image.convert("I").point(lambda value: value * (1 / 256))
        return deep.convert("L").convert("RGB")
    plain = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode not in ("L", "LA", "P", "1"):
        # The profile describes the channels of the original mode.
        plain.info.pop("icc_profile", None)
    return plain
