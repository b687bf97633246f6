"""Media types: detection from the first bytes, file extensions, and parsing.

The service and the client use the same tables. The tables of the machine (/etc/mime.types) are not
read, so that a file has the same type everywhere.
"""

from __future__ import annotations

import mimetypes
import re

UNKNOWN = "application/octet-stream"
"""The media type of arbitrary bytes (RFC 2046)."""

HEAD_BYTES = 64
"""Number of first bytes that `sniff` needs."""

_NAME = "[A-Za-z0-9!#$&^_.+-]+"
_VALUE = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]+"

PATTERN = rf"{_NAME}/{_NAME}( *; *{_NAME}={_VALUE})*"
"""Regular expression of a media type with its parameters, as pydantic reads it."""

MAX_CHARS = 255
"""Length limit of a media type with its parameters."""

# The same for `re`, with a possessive quantifier (`++`), since a value may itself look like more
# parameters and `re` would try every way to split it.
_WELL_FORMED = re.compile(rf"{_NAME}/{_NAME}( *; *{_NAME}={_VALUE}+)*")

# Sent by clients that do not know the type; `curl --data-binary` sends the form type.
_GENERIC = frozenset(
    {"", UNKNOWN, "binary/octet-stream", "application/x-www-form-urlencoded", "multipart/form-data"}
)

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
    (b"BM", "image/bmp"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"8BPS", "image/vnd.adobe.photoshop"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\xff\x0a", "image/jxl"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xfa", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
    (b"%PDF-", "application/pdf"),
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"ARROW1", "application/vnd.apache.arrow.file"),
    (b"\x93NUMPY", "application/x-npy"),
)
_RIFF_FORMS = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_HEIF = "image/heif"
# ISO base media files name the specifications that they follow (ISO/IEC 14496-12, `ftyp`).
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": _HEIF,
    b"msf1": _HEIF,
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
    b"isom": "video/mp4",
    b"mp41": "video/mp4",
    b"mp42": "video/mp4",
}
_MATROSKA = b"\x1a\x45\xdf\xa3"

_TYPES = mimetypes.MimeTypes()
for _type, _extension in (
    ("image/webp", ".webp"),
    ("image/avif", ".avif"),
    ("image/heic", ".heic"),
    (_HEIF, ".heif"),
    ("image/jp2", ".jp2"),
    ("image/jxl", ".jxl"),
    ("image/vnd.adobe.photoshop", ".psd"),
    ("audio/aac", ".aac"),
    ("audio/flac", ".flac"),
    ("audio/opus", ".opus"),
    ("audio/ogg", ".ogg"),
    ("audio/mp4", ".m4a"),
    ("audio/wav", ".wav"),
    ("video/x-matroska", ".mkv"),
    ("text/markdown", ".md"),
    ("application/x-npy", ".npy"),
    ("application/vnd.apache.parquet", ".parquet"),
    ("application/vnd.apache.arrow.file", ".arrow"),
    ("application/jsonl", ".jsonl"),
    ("application/x-skops", ".skops"),
):
    _TYPES.add_type(_type, _extension)
# Types whose first extension in Python's table is not the usual one, or that have no extension
# there.
_EXTENSIONS = {
    "text/plain": "txt",
    "image/jpeg": "jpg",
    "image/x-icon": "ico",
    "audio/mpeg": "mp3",
    "video/mp4": "mp4",
    "application/gzip": "gz",
}


def essence(content_type: str) -> str:
    """Return a media type in lower case, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def kind_of(content_type: str) -> str:
    """Return the top-level type, such as `image`."""
    return essence(content_type).partition("/")[0]


def is_media(content_type: str) -> bool:
    """Return True if files of this type have a width, height or duration."""
    return kind_of(content_type) in ("image", "audio", "video")


def is_generic(content_type: str | None) -> bool:
    """Return True if a declared type carries no information: missing, arbitrary or malformed."""
    if content_type is None or essence(content_type) in _GENERIC:
        return True
    return len(content_type) > MAX_CHARS or _WELL_FORMED.fullmatch(content_type) is None


def sniff(head: bytes) -> str | None:
    """Return the media type of a file by its first `HEAD_BYTES` bytes, or None if it is unknown."""
    if head.startswith(b"RIFF"):
        return _RIFF_FORMS.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _of_brands(head)
    if head.startswith(_MATROSKA):
        return "video/webm" if b"webm" in head else "video/x-matroska"
    if head.startswith(b"OpusHead", 28):
        return "audio/opus"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


def media_type(head: bytes, *kinds: str) -> str:
    """Return the media type of a file by its first bytes, which must be of one of some kinds.

    Args:
        head: The first `HEAD_BYTES` bytes.
        kinds: Top-level types, the expected one first.

    Raises:
        ValueError: The bytes are empty, or not of a known format of these kinds.
    """
    if not head:
        raise ValueError(f"the {kinds[0]} is empty: it has 0 bytes")
    found = sniff(head)
    if found is None or kind_of(found) not in kinds:
        what = "an image" if kinds[0] == "image" else kinds[0]
        raise ValueError(f"not {what} of a known format; the content begins with {head[:16]!r}")
    return found


def image_type(head: bytes) -> str:
    """Return the media type of an image by its first bytes.

    Raises:
        ValueError: The bytes are empty, or not an image of a known format.
    """
    return media_type(head, "image")


def guess(name: str) -> str:
    """Return the media type for the extension of a file name, or `UNKNOWN`.

    A compressed file has the type of its compression: `a.tar.gz` is `application/gzip`.
    """
    _, dot, extension = name.rpartition(".")
    if not dot:
        return UNKNOWN
    # Not the name itself: a colon in it would be read as the scheme of a URL.
    kind, encoding = _TYPES.guess_type(f"x.{extension}")
    if encoding is None:
        return kind or UNKNOWN
    return "application/gzip" if encoding == "gzip" else f"application/x-{encoding}"


def content_type_of(declared: str | None, head: bytes, name: str = "") -> str:
    """Return the type of a file: as declared, else by its first bytes, else by its name."""
    if declared is not None and not is_generic(declared):
        return declared
    return sniff(head) or guess(name)


def extension_of(content_type: str, default: str = "bin") -> str:
    """Return the usual extension of a media type, without the dot."""
    kind = essence(content_type)
    if kind in _EXTENSIONS:
        return _EXTENSIONS[kind]
    found = _TYPES.guess_extension(kind, strict=False)
    return found.removeprefix(".") if found else default


def _of_brands(head: bytes) -> str:
    """Return the type of an ISO base media file.

    The major brand decides, unless it is unknown or stands for images in general; then the
    compatible brands decide.
    """
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, len(head) - 3, 4))]
    major = _BRANDS.get(brands[0])
    if major is not None and major != _HEIF:
        return major
    kinds = [_BRANDS.get(brand, "") for brand in brands]
    images = [kind for kind in kinds if kind.startswith("image/")]
    return next((kind for kind in images if kind != _HEIF), _HEIF if images else "video/mp4")
