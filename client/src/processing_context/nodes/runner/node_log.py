"""Log of one node: printed lines and log records, as `log` events of its job."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

MAX_LINE_BYTES = 8 * 1024
"""Longer lines are cut, so that each fits into an event."""

Level = Literal["debug", "info", "warning", "error"]
PostLine = Callable[[str, Level, str], None]
"""Posts a line: the id of its node, its level and its text."""


class NodeLog:
    """Log of one node while it runs; thread-safe.

    Args:
        node_id: The node.
        post: Posts the lines; may block in a thread until there is room for more.

    Attributes:
        is_closed: True once the node has ended.
        is_used: True once it has a line.
    """

    __slots__ = ("_node_id", "_partial", "_post", "is_closed", "is_used")

    def __init__(self, node_id: str, post: PostLine) -> None:
        self._node_id = node_id
        self._post = post
        # Each thread has a line of its own per stream, so that lines are not mixed and no lock is
        # held while a line waits for room.
        self._partial: dict[tuple[Level, int], _Line] = {}
        self.is_closed = False
        self.is_used = False

    def write(self, level: Level, text: str) -> None:
        """Add printed text, of which every complete line is posted."""
        key = (level, threading.get_ident())
        line = self._partial.get(key)
        if line is None:
            line = self._partial[key] = _Line()
        for complete in line.feed(text):
            self._post_line(level, complete)

    def record(self, level: Level, message: str) -> None:
        """Post the message of a log record."""
        self._post_line(level, shortened_line(message))

    def close(self) -> None:
        """Post the lines that have no end; later output belongs to no node."""
        self.is_closed = True
        for (level, _), line in list(self._partial.items()):
            if rest := line.take():
                self._post_line(level, rest)

    def _post_line(self, level: Level, line: str) -> None:
        self.is_used = True
        self._post(self._node_id, level, line)


class _Line:
    """Beginning of a line, as a terminal would show it."""

    __slots__ = ("_omitted", "_text")

    def __init__(self) -> None:
        self._text = ""
        self._omitted = 0

    def feed(self, text: str) -> list[str]:
        """Add text; return the lines that it completes."""
        *complete, rest = text.split("\n")
        lines = []
        for part in complete:
            self._add(part)
            lines.append(self.take())
        if rest:
            self._add(rest)
        return lines

    def take(self) -> str:
        """Return the line and start a new one."""
        line = shortened_line(self._text.rstrip("\r"), omitted=self._omitted)
        self._text, self._omitted = "", 0
        return line

    def _add(self, part: str) -> None:
        text = self._text + part
        if "\r" in text:
            self._omitted = 0
            text = _overwritten(text)
        if len(text) > MAX_LINE_BYTES:
            self._omitted += len(_encoded(text[MAX_LINE_BYTES:]))
            text = text[:MAX_LINE_BYTES]
        self._text = text


def _overwritten(text: str) -> str:
    """Return the last visible text of a line with carriage returns.

    A carriage return at its end remains, since text that follows replaces the line.
    """
    before, _, last = text.rpartition("\r")
    if last.strip():
        return last
    visible = (part for part in reversed(before.split("\r")) if part.strip())
    return f"{next(visible, '')}\r"


def shortened_line(line: str, *, omitted: int = 0) -> str:
    """Return a line; if it has more than 8 KiB, its beginning and its size.

    Args:
        line: The line.
        omitted: Bytes of the line that `line` does not contain.
    """
    if not omitted and len(line) * 4 <= MAX_LINE_BYTES:
        return line
    encoded = _encoded(line)
    size = len(encoded) + omitted
    if size <= MAX_LINE_BYTES:
        return line
    note = f" … (cut: the line has {size} bytes)"
    return encoded[: MAX_LINE_BYTES - len(_encoded(note))].decode(errors="ignore") + note


def _encoded(text: str) -> bytes:
    return text.encode(errors="backslashreplace")
