"""uvicorn server whose shutdown the application controls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from app.server.transport import HttpProtocol
from app.settings import Settings


class Server(uvicorn.Server):
    """uvicorn server for an application, without signal handlers.

    The `serve` command handles signals, since it stops other parts before the API.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                ws="websockets-sansio",
                ws_per_message_deflate=False,  # it would compress each event once per WebSocket
                ws_max_size=settings.max_json_bytes,
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                # Longer than clients keep idle connections (httpx 5 s, nginx 60 s), so that they
                # send no request on a connection that is being closed.
                timeout_keep_alive=75,
                timeout_graceful_shutdown=int(settings.shutdown_grace_s),
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing, instead of installing signal handlers."""
        yield
