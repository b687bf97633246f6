"""Reasons to close a WebSocket."""

from __future__ import annotations

MALFORMED = 4400
UNAUTHORIZED = 4401
FORBIDDEN = 4403
TRY_AGAIN_LATER = 1013


class Refused(Exception):
    """The WebSocket is closed after its handshake; `code` is the close code."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code} {reason}")


class MalformedMessage(Exception):
    """A message that is not an operation."""
