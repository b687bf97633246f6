"""The token of the service: its sources, and its form. No error shows a token."""

from __future__ import annotations

import os
import re
from pathlib import Path

VARIABLE = "CONTEXT_TOKEN"
FILE_VARIABLE = "CONTEXT_TOKEN_FILE"
_TOKEN = re.compile(r"[A-Za-z0-9._-]+")


def find_token(given: str | None = None, *, argument: str = "token=") -> str | None:
    """Return the token: the given one, else that of CONTEXT_TOKEN, else of CONTEXT_TOKEN_FILE.

    Args:
        given: The token that the caller passed.
        argument: The name of that argument, for errors.

    Raises:
        ValueError: It has characters that no token has, or the file cannot be read.
    """
    if given and given.strip():
        return clean_token(given, argument)
    if (value := os.environ.get(VARIABLE, "")).strip():
        return clean_token(value, VARIABLE)
    if path := os.environ.get(FILE_VARIABLE):
        return _from_file(Path(path))
    return None


def clean_token(token: str, source: str) -> str:
    """Return a token without the white space around it.

    Raises:
        ValueError: It has characters that no token has.
    """
    stripped = token.strip()
    if not _TOKEN.fullmatch(stripped):
        raise ValueError(
            f"the value of {source} is not a token: tokens consist of letters, digits and . _ - "
            "(the value is not shown here)"
        )
    return stripped


def _from_file(path: Path) -> str:
    source = f"{FILE_VARIABLE}={path}"
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ValueError(f"cannot read the token in {source}: {error.strerror}") from error
    if not text.strip():
        raise ValueError(f"{source} is empty: write the token into it")
    return clean_token(text, source)
