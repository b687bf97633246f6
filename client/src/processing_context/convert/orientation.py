"""EXIF orientation of images; needs the extra `image`.

Only the orientation is read. Pillow's own parser reads every entry, and raises or warns on damaged
ones that have nothing to do with it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

_TAG = 0x0112
_HEADER = b"Exif\0\0"
_ENTRY_BYTES = 12
_SHORT, _LONG = 3, 4


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an image, 1 to 8; 1 where it is absent or unreadable."""
    position = _position(_exif(image))
    return position[1] if position else 1


def upright(image: Image.Image) -> Image.Image:
    """Return the image as it is to be displayed; its EXIF then has the orientation 1."""
    image.load()
    exif = _exif(image)
    position = _position(exif)
    if position is None or position[1] == 1:
        return image
    at, value, order = position
    turned = turn(image, value)
    turned.info["exif"] = exif[:at] + struct.pack(order + "H", 1) + exif[at + 2 :]
    turned.info.pop("Raw profile type exif", None)
    return turned


def turn(image: Image.Image, value: int) -> Image.Image:
    """Return an image of the given EXIF orientation upright."""
    from PIL.Image import Transpose

    method = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(value)
    return image if method is None else image.transpose(method)


def _exif(image: Image.Image) -> bytes:
    """Return the EXIF data of an image, a TIFF structure; empty if it has no such data."""
    exif = image.info.get("exif", b"")
    if not exif and "Raw profile type exif" in image.info:
        lines = image.info["Raw profile type exif"].split("\n")
        try:
            exif = bytes.fromhex("".join(lines[3:]))
        except ValueError:
            return b""
    return exif.removeprefix(_HEADER) if isinstance(exif, bytes) else b""


def _position(exif: bytes) -> tuple[int, int, str] | None:
    """Return offset, value and byte order of a valid orientation in the first directory."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return None
    (start,) = struct.unpack_from(order + "I", exif, 4)
    if start + 2 > len(exif):
        return None
    (count,) = struct.unpack_from(order + "H", exif, start)
    last = min(start + 2 + count * _ENTRY_BYTES, len(exif))
    for at in range(start + 2, last - _ENTRY_BYTES + 1, _ENTRY_BYTES):
        tag, kind, number = struct.unpack_from(order + "HHI", exif, at)
        if tag != _TAG:
            continue
        # A LONG of the other byte order has its low half first or last.
        value_at = at + 10 if kind == _LONG and order == ">" else at + 8
        (value,) = struct.unpack_from(order + "H", exif, value_at)
        is_valid = kind in (_SHORT, _LONG) and number == 1 and 1 <= value <= 8
        return (value_at, value, order) if is_valid else None
    return None
