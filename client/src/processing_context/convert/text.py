"""Text to and from bytes."""

from __future__ import annotations

import codecs

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks; the one of UTF-32 begins with that of UTF-16."""


def encode_text(text: str) -> bytes:
    """Return a text as UTF-8.

    Raises:
        ValueError: The text has an unpaired surrogate.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        raise ValueError(
            f"the text has an unpaired surrogate at position {exc.start}, which has no UTF-8 form"
        ) from None


def decode_text(data: bytes, charset: str = "") -> str | None:
    """Return the text of encoded bytes, or None if the encoding is not known.

    Args:
        data: Encoded by its byte order mark, else UTF-8, else by `charset`.
        charset: The declared encoding; an unknown name is ignored.
    """
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    for encoding in (marked, "utf-8", charset):
        if encoding:
            try:
                return data.decode(encoding)
            except (UnicodeDecodeError, LookupError):
                continue
    return None
