"""Patterns for LIKE and ILIKE."""

from __future__ import annotations

import re


def escaped(text: str) -> str:
    """Return text in which `%`, `_` and the backslash stand for themselves."""
    return re.sub(r"([\\%_])", r"\\\1", text)


def contains(text: str) -> str:
    """Return the pattern of strings that contain a text."""
    return f"%{escaped(text)}%"
