"""File names in the part headers of forms, in the encodings that clients send."""

from __future__ import annotations

import re
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from urllib.parse import unquote_to_bytes

_EXTENDED = re.compile(
    r"""(?:^|;)\s*filename\*\s*=\s*"?([^'"\s;]*)'[^'"]*'([^"\s;]*)""", re.IGNORECASE
)
_ENCODED_WORDS = re.compile(r"\s*(=\?[^?\s]+\?[bq]\?[^?]*\?=\s*)+", re.IGNORECASE)


def file_name_of(disposition: str, plain: str | None) -> str | None:
    """Return the file name of a part.

    Browsers send UTF-8 in `filename`. Other clients send `filename*` (RFC 5987), which takes
    precedence, or encoded words (RFC 2047).

    Args:
        disposition: The header Content-Disposition.
        plain: Its parameter `filename`.
    """
    if (found := _EXTENDED.search(disposition)) is not None:
        charset, encoded = found.groups()
        try:
            return unquote_to_bytes(encoded).decode(charset or "utf-8")
        except (LookupError, UnicodeDecodeError):
            return plain
    if plain is not None and _ENCODED_WORDS.fullmatch(plain):
        try:
            return str(make_header(decode_header(plain)))
        except (HeaderParseError, LookupError, UnicodeDecodeError):
            return plain
    return plain
