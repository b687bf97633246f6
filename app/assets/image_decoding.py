"""Decoder functions for images, using Pillow.

They run in decoder processes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import orjson
from PIL import Image, UnidentifiedImageError

from app.media.decoders.refusals import CannotDecode, TooMuch
from processing_context.convert.color import to_srgb
from processing_context.convert.image import BROKEN
from processing_context.convert.orientation import orientation, turn

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""Accepted Pillow formats: they run no external program or script, and read no other file."""
_RESIZABLE = frozenset({"L", "LA", "RGB", "RGBA", "CMYK"})
"""Modes that can be resized before their colors are converted."""

# Replaced by the limit `max_pixels`, which has an error message of its own.
Image.MAX_IMAGE_PIXELS = None


def facts(source: BinaryIO, *, max_pixels: int) -> bytes:
    """Return JSON with the displayed `width` and `height`; pixels are not decoded."""
    with opened(source, max_pixels) as image:
        width, height = image.size
        if orientation(image) >= 5:
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
        # JPEG can be decoded at a fraction of its size, which saves time and memory.
        image.draft("RGB", (size * 2, size * 2))
        return webp(turn(_thumbnail(image, size), orientation(image)))


def _thumbnail(image: Image.Image, size: int) -> Image.Image:
    """Return an image in sRGB that fits a square of `size` pixels."""
    if image.mode not in _RESIZABLE or "transparency" in image.info:
        image = to_srgb(image)
    image.thumbnail((size, size), reducing_gap=2.0)
    return to_srgb(image)


def webp(image: Image.Image) -> bytes:
    """Return an image encoded as WebP."""
    out = io.BytesIO()
    image.save(out, "WEBP", quality=80, method=4)
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
    except BROKEN:
        raise CannotDecode("The image is damaged or truncated.") from None
