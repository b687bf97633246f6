"""Content-Type and Content-Disposition headers of replies with stored files."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote

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


def header_of(content_type: str) -> str:
    """Return the value of a Content-Type header."""
    return content_type if content_type.isascii() else essence(content_type)


def disposition(kind: str, name: str) -> str:
    """Return a Content-Disposition header for any file name (RFC 6266, RFC 8187)."""
    clean = name if name.isprintable() else "".join(c if c.isprintable() else "_" for c in name)
    if clean.isascii() and _NEEDS_NO_QUOTES.fullmatch(clean):
        return f'{kind}; filename="{clean}"'
    plain = "".join(c if c.isascii() and c not in '"\\%' else "_" for c in clean)
    encoded = quote(clean.encode("utf-8", errors="replace"), safe="!#$&+-.^_`|~")
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
