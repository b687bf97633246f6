"""Text from other machines on a terminal: control characters are shown, not executed."""

from __future__ import annotations

import json
import logging
import unicodedata

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"
"""Format characters that words and emoji consist of."""


def printable(text: str) -> str:
    """Return a text in one line, with control and direction characters as escape sequences."""
    return "".join(map(_escaped, text)) if not text.isprintable() else text


def printable_lines(text: str) -> str:
    """Return a text of several lines, with its other control characters as escape sequences."""
    if text.isprintable():
        return text
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in lines)


def printable_json(text: str) -> str:
    r"""Return JSON text with control and direction characters as `\u` sequences."""
    if text.isprintable():
        return text
    return "".join(
        json.dumps(char)[1:-1] if char != "\n" and _is_unsafe(char) else char for char in text
    )


class TerminalFormatter(logging.Formatter):
    """Formatter of log records for people, the same in the service and in workers."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as text."""
        return printable_lines(super().format(record))


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode() if _is_unsafe(char) else char


def _is_unsafe(char: str) -> bool:
    return unicodedata.category(char) in _UNSAFE and char not in _JOINERS
