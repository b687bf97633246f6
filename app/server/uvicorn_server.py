"""uvicorn server whose shutdown the application controls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from app.server.transport import HttpProtocol
from app.settings import Settings


class Server(uvicorn.Server):
    """uvicorn server of an application.

    It handles no signals: the `serve` command stops other parts before the API.
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
                # Longer than clients keep idle connections (httpx 5 s, nginx 60 s), so that no
                # request is sent on a connection that is being closed.
                timeout_keep_alive=75,
                timeout_graceful_shutdown=int(settings.shutdown_grace_s),
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers."""
        yield
