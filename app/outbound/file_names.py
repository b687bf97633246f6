"""Names of downloaded files."""

from __future__ import annotations

from email.message import Message
from email.utils import collapse_rfc2231_value
from urllib.parse import unquote

import httpx2

MAX_NAME_CHARS = 1000


def file_name_of(url: httpx2.URL, disposition: str | None) -> str:
    """Return the name of a file: from its Content-Disposition, else from the URL, else the host."""
    for name in (_declared_name(disposition), unquote(url.path)):
        last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
        clean = "".join(c if c.isprintable() else "_" for c in last).strip()
        if clean not in ("", ".", ".."):
            return clean[-MAX_NAME_CHARS:]
    return url.host


def _declared_name(disposition: str | None) -> str:
    """Return the file name in a Content-Disposition header, in either of its forms (RFC 6266)."""
    header = Message()
    header["Content-Disposition"] = " ".join((disposition or "").split())
    given = header.get_params([], "Content-Disposition")
    names = [value for key, value in given if key.lower() == "filename"]
    # `filename*` takes precedence over `filename`.
    preferred = next((name for name in names if isinstance(name, tuple)), next(iter(names), ""))
    return collapse_rfc2231_value(preferred)
