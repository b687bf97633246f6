"""Functions of the decoders: still images, by Pillow."""

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
"""Those of Pillow's formats that are read: no external program, no script, no other file."""
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
# What Pillow's readers raise on broken files.
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

# Our own limit comes first, and has a better answer than a warning.
Image.MAX_IMAGE_PIXELS = None


def facts(source: BinaryIO, *, max_pixels: int) -> bytes:
    """Return JSON with `width` and `height` as seen, orientation applied; pixels are not read."""
    with opened(source, max_pixels) as image:
        width, height = image.size
        if _orientation(image) >= 5:
            width, height = height, width
        return orjson.dumps({"width": width, "height": height})


def thumbnail(source: BinaryIO, *, size: int, max_pixels: int) -> bytes:
    """Return the (first) image as a WebP that fits a square, upright; it is never enlarged."""
    with opened(source, max_pixels) as image:
        orientation = _orientation(image)
        # JPEG is decoded at a fraction of its size.
        image.draft("RGB", (size * 2, size * 2))
        plain = _plain(image)
        plain.thumbnail((size, size), reducing_gap=2.0)
        if orientation in _TRANSPOSED:
            plain = plain.transpose(_TRANSPOSED[orientation])
        return webp(plain)


def webp(image: Image.Image) -> bytes:
    """Return an image as WebP."""
    out = io.BytesIO()
    image.save(out, "WEBP", quality=80, method=4, icc_profile=image.info.get("icc_profile"))
    return out.getvalue()


@contextmanager
def opened(source: BinaryIO, max_pixels: int) -> Iterator[Image.Image]:
    """Open an image; what goes wrong with it in the block is `CannotDecode`.

    Raises:
        TooMuch: It has too many pixels.
        CannotDecode: It is no image of ours, or broken.
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
        raise CannotDecode(f"The file is none of {', '.join(FORMATS)}.") from None
    except _BROKEN:
        raise CannotDecode("The image is broken or cut off.") from None


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _BROKEN:
        return 1
    return value if isinstance(value, int) else 1


def _plain(image: Image.Image) -> Image.Image:
    """Return an image in a mode that can be scaled and saved, alpha kept."""
    if image.mode in ("RGB", "RGBA"):
        image.load()
        return image
    if image.mode.startswith("I;16"):
        # A plain conversion would cut off what is above 255.
        deep = image.convert("I").point(lambda value: value * (1 / 256))
        return deep.convert("L").convert("RGB")
    plain = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode not in ("L", "LA", "P", "1"):
        # The profile is that of other channels.
        plain.info.pop("icc_profile", None)
    return plain
