"""Exception of commands."""

from __future__ import annotations


class CommandError(Exception):
    """A command cannot start or continue; the text is a message for the operator."""
