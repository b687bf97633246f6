"""Error of commands of the command line."""

from __future__ import annotations


class CommandError(Exception):
    """A command cannot start or continue; the message is one sentence for the operator."""
