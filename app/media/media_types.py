"""Content types: what bytes are, which extension they get, which a browser may show."""

from __future__ import annotations

import mimetypes
import re
from functools import lru_cache
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from processing_context.wire.assets import FOLDER, ContentType

UNKNOWN = "application/octet-stream"
HEAD_BYTES = 64
"""How many of the first bytes `sniff` wants to see."""

# What clients send when they do not know; curl's --data-binary sends the last.
_GENERIC = frozenset(
    {"", UNKNOWN, "binary/octet-stream", "application/x-www-form-urlencoded", "multipart/form-data"}
)
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftyp", "video/mp4"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"BM", "image/bmp"),
    (0, b"fLaC", "audio/flac"),
    (28, b"OpusHead", "audio/opus"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PAR1", "application/vnd.apache.parquet"),
    (0, b"ARROW1", "application/vnd.apache.arrow.file"),
    (0, b"\x93NUMPY", "application/x-npy"),
)
_EBML = b"\x1a\x45\xdf\xa3"
_RIFF_TYPES = frozenset({"image/webp", "audio/wav", "video/x-msvideo"})

# Python's own table only: the machine's /etc/mime.types must not change what a file is called.
_TYPES = mimetypes.MimeTypes()
for _type, _extension in (
    ("image/webp", ".webp"),
    ("image/avif", ".avif"),
    ("image/heic", ".heic"),
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
_EXTENSIONS = {"text/plain": "txt", "image/jpeg": "jpg", "audio/mpeg": "mp3", "video/mp4": "mp4"}

# Shown in the page's own origin, anything else could run scripts there.
_INLINE = re.compile(
    r"(image|audio|video|font)/[^+]+|text/(plain|csv|markdown)|application/(json|pdf|jsonl)"
)
_NEEDS_NO_QUOTES = re.compile(r'[^"\\%]*')
_CONTENT_TYPE: TypeAdapter[str] = TypeAdapter(ContentType)


def essence(content_type: str) -> str:
    """Return a content type in lower case, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def is_generic(content_type: str | None) -> bool:
    """Whether a claimed type says nothing; one that is malformed says nothing either."""
    if content_type is None or essence(content_type) in _GENERIC or content_type == FOLDER:
        return True
    try:
        _CONTENT_TYPE.validate_python(content_type)
    except ValidationError:
        return True
    return False


def is_media(content_type: str) -> bool:
    """Whether a file has width, height or duration, by its type."""
    return kind_of(content_type) in ("image", "audio", "video")


def kind_of(content_type: str) -> str:
    """Return what a content type begins with, such as `image`."""
    return essence(content_type).partition("/")[0]


def sniff(head: bytes) -> str | None:
    """Return the content type that the first bytes give away."""
    for offset, magic, content_type in _MAGIC:
        if head.startswith(magic, offset):
            if content_type in _RIFF_TYPES and not head.startswith(b"RIFF"):
                continue
            return content_type
    if head.startswith(_EBML):
        return "video/webm" if b"webm" in head else "video/x-matroska"
    return None


def content_type_of(claimed: str | None, head: bytes, name: str = "") -> str:
    """Return the type of a file: as claimed, else as its bytes say, else as its name says."""
    if claimed is not None and not is_generic(claimed):
        return claimed
    return sniff(head) or _TYPES.guess_type(f"x.{name.rpartition('.')[2]}")[0] or UNKNOWN


def extension_of(content_type: str) -> str:
    """Return the extension of a content type, without the dot; `bin` for one that has none."""
    kind = essence(content_type)
    if kind in _EXTENSIONS:
        return _EXTENSIONS[kind]
    return (_TYPES.guess_extension(kind, strict=False) or ".bin").removeprefix(".")


@lru_cache(maxsize=1024)
def is_safe_inline(content_type: str) -> bool:
    """Whether a browser may show it; HTML, SVG and XML in all their forms it may only save."""
    return _INLINE.fullmatch(essence(content_type)) is not None


def header_of(content_type: str) -> str:
    """Return a content type that fits a header."""
    return content_type if content_type.isascii() else essence(content_type)


def disposition(kind: str, name: str) -> str:
    """Return a Content-Disposition that carries any name (RFC 6266, RFC 8187)."""
    clean = name if name.isprintable() else "".join(c if c.isprintable() else "_" for c in name)
    if clean.isascii() and _NEEDS_NO_QUOTES.fullmatch(clean):
        return f'{kind}; filename="{clean}"'
    plain = "".join(c if c.isascii() and c not in '"\\%' else "_" for c in clean)
    encoded = quote(clean.encode("utf-8", errors="replace"), safe="!#$&+-.^_`|~")
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
