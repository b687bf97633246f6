"""uvicorn's WebSocket protocol with limits on what a client may send before it is authenticated."""

from __future__ import annotations

from asyncio import BaseTransport
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.server.transport import GatheringTransport

MAX_AFTER_CLOSE_BYTES = 64 * 1024
"""Limit on the data that a client sends after the service has closed a WebSocket."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """WebSocket protocol that reads no message before the application asks for the first one.

    The application asks after the authentication, so messages of others take no memory.
    """

    _has_connected = False
    _after_close = 0

    def connection_made(self, transport: BaseTransport) -> None:
        """Start a connection, whose transport does not read yet."""
        super().connection_made(transport)
        self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting the connection."""
        super().connection_lost(exc)
        cast("GatheringTransport", self.transport).lost()

    def data_received(self, data: bytes) -> None:
        """Parse frames; after the close only a few, until the client closes too."""
        if self.close_sent:
            self._after_close += len(data)
            if self._after_close > MAX_AFTER_CLOSE_BYTES:
                self.transport.abort()
                return
        super().data_received(data)

    async def receive(self) -> Any:
        """Return the connection, then its messages; reading begins with the second call."""
        if not self._has_connected:
            message = await super().receive()
            self._has_connected = True
            self.read_paused = True  # until the next call, or the close
            return message
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self.transport.resume_reading()
        return await super().receive()
