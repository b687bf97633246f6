"""Checks of arguments."""

from __future__ import annotations

from typing import IO


def given(value: str, what: str) -> str:
    """Return a required string.

    Raises:
        ValueError: The value is empty or not a string.
    """
    if not isinstance(value, str):
        raise ValueError(f"{what} must be a string, not {type(value).__name__}")
    if not value:
        raise ValueError(f"{what} must not be empty")
    return value


def read_binary(file: IO[bytes]) -> bytes:
    """Return the content of a binary file object, from its start if it is seekable.

    Raises:
        ValueError: The object is not a binary file.
    """
    if not hasattr(file, "read"):
        raise ValueError(f"expected a binary file object, not {type(file).__name__}")
    if getattr(file, "seekable", lambda: False)():
        file.seek(0)
    data = file.read()
    if isinstance(data, str):
        raise ValueError("the file is open in text mode: open it with mode 'rb'")
    return data
