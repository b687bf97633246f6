"""Colour management: images of any mode to sRGB, by their ICC profile; needs the extra `image`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image, ImageCms

_SPACES = {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK", "LAB": b"Lab "}
"""Colour space of the ICC profile (bytes 16 to 20 of its header) that fits a mode."""
_GREY = frozenset({"1", "L", "LA", "I", "I;16"})


def to_srgb(image: Image.Image) -> Image.Image:
    """Return the image in sRGB and without a profile: mode RGB, or RGBA if it has transparency.

    A profile of another colour space than the pixels is ignored, as is one that cannot be read and
    one of a 16-bit image, which becomes 8-bit.

    Raises:
        ValueError: The image has mode F, whose range is unknown.
    """
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):
        image, profile = _eight_bits(image), None
    plain, alpha = _without_alpha(image)
    transform = _transform(plain.mode, profile)
    converted = plain.convert("RGB") if transform is None else transform.apply(plain)
    if alpha is not None:
        converted.putalpha(alpha)
    for key in ("icc_profile", "transparency"):
        converted.info.pop(key, None)
    return converted


def profile_fits(image: Image.Image) -> bool:
    """Return whether the ICC profile of an image is one for its mode in a PNG."""
    space = bytes(image.info.get("icc_profile") or b"")[16:20]
    return space == (b"GRAY" if image.mode in _GREY else b"RGB ")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return a 16-bit image as L, or LA if one of its values is transparent."""
    from PIL import ImageChops

    deep = image.convert("I")
    grey = deep.point(lambda value: value * (1 / 256)).convert("L")  # convert() alone clips at 255
    key = image.info.get("transparency")
    if isinstance(key, int):
        above = deep.point(lambda value: value * 1 - key).convert("L")
        below = deep.point(lambda value: value * -1 + key).convert("L")
        grey.info.pop("transparency", None)
        grey.putalpha(ImageChops.lighter(above, below).point([0] + [255] * 255))
    return grey


def _without_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return an image in a mode of `_SPACES`, and its alpha channel if it has transparency."""
    if image.mode == "F":
        raise ValueError("the image has mode F, whose range is unknown: convert it first")
    if image.has_transparency_data:
        base = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
        image = image.convert(base + "A")
        return image.convert(base), image.getchannel("A")
    if image.mode in _SPACES:
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def _transform(mode: str, profile: bytes | None) -> ImageCms.ImageCmsTransform | None:
    """Return the transformation to sRGB, or None where it would change nothing."""
    from PIL import ImageCms

    if mode == "LAB":
        source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    elif profile and profile[16:20] == _SPACES[mode]:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        except OSError:
            return None
    else:
        return None
    try:
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except ImageCms.PyCMSError:
        return None
    return None if mode == "RGB" and _is_identity(transform) else transform


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Return whether a transformation of RGB changes no sample by more than one step."""
    from PIL import Image, ImageChops

    cube = Image.new("RGB", (81, 9))
    steps = range(0, 257, 32)
    cube.putdata(
        [tuple(min(c, 255) for c in (r, g, b)) for r in steps for g in steps for b in steps]
    )
    changes = ImageChops.difference(cube, transform.apply(cube))
    return all(changes.getchannel(band).getextrema()[1] <= 1 for band in "RGB")  # type: ignore[operator]
