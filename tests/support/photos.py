"""Photographs with chosen EXIF data and color profiles."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Iterator

from PIL import Image, ImageCms

Entry = tuple[int, int, int, bytes]
"""Tag, type, count and value of an EXIF entry."""

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
DAMAGED_ENTRIES: dict[str, Entry] = {
    "resolution -1/0": (0x11A, 10, 1, struct.pack("<ii", -1, 0)),
    "resolution as text": (0x11A, 2, 3, b"72\0"),
    "maker as a fraction": (0x10F, 5, 1, struct.pack("<II", 1, 1)),
    "comment as 64-bit numbers": (0x9286, 16, 2, b"\xff" * 16),
    "GPS directory past the end": (0x8825, 4, 1, struct.pack("<I", 1 << 30)),
    "EXIF directory that is the first one": (0x8769, 4, 1, struct.pack("<I", 8)),
    "text without a length": (0x10E, 2, 0, b""),
    "a type that does not exist": (0x10E, 99, 1, b"abcd"),
    "a count of 4 Gi": (0x10E, 5, 0xFFFFFFFF, b"\0" * 8),
}


def exif(*entries: Entry, orientation: int = 6) -> bytes:
    """Return EXIF data (little-endian) with an orientation and further entries."""
    tags = sorted([(0x112, 3, 1, struct.pack("<HH", orientation, 0)), *entries])
    head, data, at = struct.pack("<H", len(tags)), b"", 8 + 2 + 12 * len(tags) + 4
    for tag, kind, count, value in tags:
        head += struct.pack("<HHI", tag, kind, count)
        if len(value) <= 4:
            head += value.ljust(4, b"\0")
        else:
            head += struct.pack("<I", at + len(data))
            data += value
    return b"Exif\0\0II*\0\x08\0\0\0" + head + b"\0\0\0\0" + data


def with_exif(picture: Image.Image, app1: bytes) -> bytes:
    """Return a picture as JPEG with the given EXIF segment, valid or not."""
    out = io.BytesIO()
    picture.save(out, "JPEG")
    plain = out.getvalue()
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(app1) + 2) + app1 + plain[2:]


def mutations(count: int, *, seed: int) -> Iterator[bytes]:
    """Yield damaged EXIF data: changed, cut off, or both."""
    chance = random.Random(seed)
    good = exif(*DAMAGED_ENTRIES.values())
    for _ in range(count):
        damaged = bytearray(good)
        for _ in range(chance.choice((1, 2, 8))):
            damaged[chance.randrange(6, len(damaged))] = chance.randrange(256)
        yield bytes(
            damaged[: chance.randrange(6, len(damaged))] if chance.random() < 0.2 else damaged
        )


def empty_profile(space: bytes) -> bytes:
    """Return an ICC profile of a color space (4 bytes, as b"CMYK") without any tag."""
    head = bytearray(132)
    head[0:4], head[8:12], head[12:16] = struct.pack(">I", 132), b"\x02\x40\0\0", b"prtr"
    head[16:20], head[20:24], head[36:40] = space, b"Lab ", b"acsp"
    return bytes(head)
