"""Decoding of base64 and data URIs."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_to_bytes


def from_base64(text: str) -> bytes:
    """Return the bytes of base64 text; white space is ignored.

    Raises:
        ValueError: The text is not base64.
    """
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ValueError(f"not base64: {exc}") from exc


def from_data_uri(uri: str) -> bytes:
    """Return the bytes of a data URI, base64 or percent-encoded.

    Raises:
        ValueError: The URI has no comma, or invalid base64.
    """
    head, comma, body = uri.partition(",")
    if not comma:
        raise ValueError(f"not a data URI, it has no comma: {uri[:60]!r}")
    raw = unquote_to_bytes(body)
    if head.lower().endswith(";base64"):
        return from_base64(raw.decode("ascii", "replace"))
    return raw
