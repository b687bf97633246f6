"""uvicorn, with the end of a replica in our hands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from app.server.transport import HttpProtocol
from app.settings import Settings


class Server(uvicorn.Server):
    """A uvicorn that leaves signals alone: on the first one there is more to stop than HTTP."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                ws="websockets-sansio",
                ws_per_message_deflate=False,  # it would compress each event once per socket
                ws_max_size=settings.max_json_bytes,
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                # Longer than clients keep idle connections (httpx 5 s, nginx 60 s): else a request
                # meets one that is being closed.
                timeout_keep_alive=75,
                timeout_graceful_shutdown=int(settings.shutdown_grace_s),
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
