"""Errors of the stack."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot start or continue; the text is one sentence for the operator."""
