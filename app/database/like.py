"""Patterns for the SQL operators LIKE and ILIKE."""

from __future__ import annotations

import re


def escaped(text: str) -> str:
    """Return a pattern that matches a text literally: `%`, `_` and the backslash are escaped."""
    return re.sub(r"([\\%_])", r"\\\1", text)


def contains(text: str) -> str:
    """Return a pattern for strings that contain a text."""
    return f"%{escaped(text)}%"
