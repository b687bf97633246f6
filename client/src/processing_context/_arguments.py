"""Checks of arguments, with one wording."""

from __future__ import annotations


def given(value: str, what: str) -> str:
    """Return a text that must be there.

    Raises:
        ValueError: It is empty or no string.
    """
    if not isinstance(value, str):
        raise ValueError(f"{what} must be a string, not {type(value).__name__}")
    if not value:
        raise ValueError(f"{what} is empty")
    return value
