"""Conversions between encoded images, PIL images and numpy arrays; needs the extra `image`."""

from __future__ import annotations

import io
import struct
from typing import IO, TYPE_CHECKING, Any

from processing_context._extras import require
from processing_context.convert.color import profile_fits, to_srgb
from processing_context.convert.orientation import upright

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

_PNG_LEVEL = 1  # a fifth of the default's time for a sixth more bytes
_PNG_MODES = frozenset({"1", "L", "LA", "I;16", "P", "RGB", "RGBA"})
BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    struct.error,
)
"""Exceptions that Pillow raises on damaged files."""


def require_pillow() -> Any:
    """Return the module `PIL.Image`.

    Raises:
        MissingDependencyError: Pillow is not installed.
    """
    return require("PIL.Image", extra="image")


def require_numpy() -> Any:
    """Return the module `numpy`.

    Raises:
        MissingDependencyError: numpy is not installed.
    """
    return require("numpy", extra="image")


def decode_image(file: IO[bytes]) -> Image.Image:
    """Decode an image to sRGB: orientation applied, mode RGB, or RGBA if it has transparency.

    Raises:
        ValueError: The image cannot be decoded.
    """
    require_pillow()
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            return to_srgb(upright(image))
    except UnidentifiedImageError:
        raise ValueError("the image cannot be decoded: unknown format") from None
    except (*BROKEN, Image.DecompressionBombError) as exc:
        raise ValueError(f"the image cannot be decoded: {exc}") from exc


def encode_png(image: Image.Image) -> bytes:
    """Encode a PIL image as PNG, orientation applied.

    Modes that PNG does not support become sRGB; a color profile that does not fit the mode is
    dropped.

    Raises:
        ValueError: The object is not a PIL image, or PNG cannot hold its pixels.
    """
    if not isinstance(image, require_pillow().Image):
        raise ValueError(f"expected a PIL image, not {type(image).__name__}")
    writable = _writable(upright(image))
    profile = writable.info.get("icc_profile") if profile_fits(writable) else None
    out = io.BytesIO()
    writable.save(out, "PNG", compress_level=_PNG_LEVEL, icc_profile=profile)
    return out.getvalue()


def image_from_array(array: Any) -> Image.Image:
    """Return the image of an array: uint8, or float in [0, 1]; H x W, or H x W x 1, 3 or 4.

    Raises:
        ValueError: The array has another shape, type or range.
    """
    numpy, pil = require_numpy(), require_pillow()
    array = numpy.asarray(array)
    shape, dtype = array.shape, array.dtype
    is_image = array.ndim == 2 or (array.ndim == 3 and shape[2] in (1, 3, 4))
    if not is_image or 0 in shape:
        raise ValueError(f"the array must be H x W or H x W x 1, 3 or 4, not of shape {shape}")
    if numpy.issubdtype(dtype, numpy.floating):
        array = _from_floats(array)
    elif dtype != numpy.uint8:
        raise ValueError(f"the array must be uint8, or float in [0, 1], not {dtype}")
    if array.ndim == 3 and shape[2] == 1:
        array = array[:, :, 0]
    image: Image.Image = pil.fromarray(numpy.ascontiguousarray(array))
    return image


def array_from_image(image: Image.Image) -> np.ndarray:
    """Return the pixels of a decoded image: uint8 of H x W x 3, or x 4 if it has transparency."""
    array: np.ndarray = require_numpy().array(image)
    return array


def _writable(image: Image.Image) -> Image.Image:
    """Return the image in a mode that PNG supports."""
    if image.mode in _PNG_MODES:
        return image
    if image.mode == "La":
        return image.convert("LA")
    if image.mode == "I":
        low, high = image.getextrema()
        if not 0 <= low <= high <= 65535:  # type: ignore[operator]
            raise ValueError(
                f"the image of mode I has values {low}..{high}, but PNG supports 0..65535"
            )
    return image.convert("I;16") if image.mode.startswith("I") else to_srgb(image)


def _from_floats(array: np.ndarray) -> np.ndarray:
    import numpy as np

    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):  # NaN fails too
        raise ValueError(f"a float array must be in [0, 1], not {low:g}..{high:g} ({array.dtype})")
    scaled: np.ndarray = np.rint(array * 255).astype(np.uint8)
    return scaled
