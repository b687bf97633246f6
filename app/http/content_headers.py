"""Content-Type and Content-Disposition headers of replies with stored files."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote

from app.http.problems import Invalid
from processing_context.wire.base import has_controls
from processing_context.wire.media_types import essence

# Files are served from the API's own origin, where other types (HTML, SVG, XML) could run scripts.
_INLINE = re.compile(
    r"(image|audio|video|font)/[^+]+|text/(plain|csv|markdown)|application/(json|pdf|jsonl)"
)
_NEEDS_NO_QUOTES = re.compile(r'[^"\\%]*')


@lru_cache(maxsize=1024)
def is_safe_inline(content_type: str) -> bool:
    """Return True if a browser may show this type; it has to save all others."""
    return _INLINE.fullmatch(essence(content_type)) is not None


class InvalidContentType(Invalid):
    """A Content-Type header has control characters."""

    code = "invalid_content_type"
    detail = "The content type must not contain control characters, such as line breaks and NUL."


def declared_type(header: str | None) -> str | None:
    """Return the Content-Type header of a file that is sent, in which tabs are spaces.

    Raises:
        InvalidContentType: It contains other control characters.
    """
    if header is None:
        return None
    declared = header.replace("\t", " ")
    if has_controls(declared):
        raise InvalidContentType
    return declared


def header_of(content_type: str) -> str:
    """Return the value of a Content-Type header."""
    if content_type.isascii() and content_type.isprintable():
        return content_type
    # Rows of earlier releases may have line breaks in the parameters.
    return essence(content_type)


def disposition(kind: str, name: str) -> str:
    """Return a Content-Disposition header for any file name (RFC 6266, RFC 8187)."""
    clean = name if name.isprintable() else "".join(c if c.isprintable() else "_" for c in name)
    if clean.isascii() and _NEEDS_NO_QUOTES.fullmatch(clean):
        return f'{kind}; filename="{clean}"'
    plain = "".join(c if c.isascii() and c not in '"\\%' else "_" for c in clean)
    encoded = quote(clean.encode("utf-8", errors="replace"), safe="!#$&+-.^_`|~")
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
