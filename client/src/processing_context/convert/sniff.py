"""What bytes are, by how they begin."""

from __future__ import annotations

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"8BPS", "image/vnd.adobe.photoshop"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\xff\x0a", "image/jxl"),
)

_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
}

HEAD_BYTES = 64
"""How many bytes from the start are enough to tell."""


def image_type(head: bytes) -> str:
    """Return the content type of an image from its first bytes.

    Raises:
        ValueError: They are empty, or the beginning of no image known here.
    """
    if not head:
        raise ValueError("there are no bytes: an image cannot be empty")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp" and (kind := _brand(head)):
        return kind
    for magic, content_type in _MAGIC:
        if head.startswith(magic):
            return content_type
    raise ValueError(f"these bytes are no image of a known format; they begin with {head[:16]!r}")


def _brand(head: bytes) -> str | None:
    """Return the type by the major brand, or by the compatible ones where that says little."""
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, len(head) - 3, 4))]
    found = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
    specific = [kind for kind in found if kind != "image/heif"]
    return next(iter(specific or found), None)
