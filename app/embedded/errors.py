"""What keeps the stack from starting or going on."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot start or go on; the text is one sentence for the person who started it."""
