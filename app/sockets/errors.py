"""Exceptions that close a WebSocket, and close codes."""

from __future__ import annotations

MALFORMED = 4400
FORBIDDEN = 4403
TRY_AGAIN_LATER = 1013


class Refused(Exception):
    """The handshake has failed; `code` is the close code of the WebSocket."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code} {reason}")


class MalformedMessage(Exception):
    """A message of the client is not an operation."""
