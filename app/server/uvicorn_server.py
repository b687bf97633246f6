"""uvicorn server whose shutdown the application controls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import uvicorn
from fastapi import FastAPI

from app.server.connection_limits import ConnectionLimits
from app.server.file_descriptors import connection_limit
from app.server.http_protocol import HttpProtocol, RequestLimits
from app.server.websocket_protocol import WebSocketProtocol
from app.settings import Settings


class Server(uvicorn.Server):
    """uvicorn server for an application, without signal handlers.

    The `serve` command handles signals, since it stops other parts before the API.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_http_protocol(settings),
                ws=WebSocketProtocol,
                ws_per_message_deflate=False,  # it would compress each event once per WebSocket
                ws_max_size=settings.max_json_bytes,
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=int(settings.keep_alive_s),
                timeout_graceful_shutdown=int(settings.shutdown_grace_s),
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing, instead of installing signal handlers."""
        yield


def _http_protocol(settings: Settings) -> type[asyncio.Protocol]:
    """Return what uvicorn calls as the class of its HTTP protocol."""
    protocol = partial(
        HttpProtocol,
        connections=ConnectionLimits(
            connection_limit(settings.max_connections), settings.trusted_proxies
        ),
        limits=RequestLimits(
            head_bytes=settings.max_head_bytes,
            headers=settings.max_headers,
            head_s=settings.head_timeout_s,
            keep_alive_s=settings.keep_alive_s,
            stalled_s=settings.stalled_reader_s,
        ),
    )
    return cast("type[asyncio.Protocol]", protocol)
