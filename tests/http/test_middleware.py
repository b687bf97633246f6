"""Tests that middleware added to the application handles the requests of all routes."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.application import create_app
from app.settings import Settings


class _Marking:
    """Middleware that adds a header to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-marked", b"yes")]
            await send(message)

        await self._app(scope, receive, marked)


@pytest.mark.parametrize("path", ["/v1/assets/0", "/v1/jobs", "/v1/nothing", "/healthz"])
async def test_an_added_middleware_sees_every_request(
    new_settings: Callable[..., Settings], path: str
) -> None:
    app = create_app(new_settings())
    app.add_middleware(_Marking)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        reply = await http.get(path)
    assert reply.status_code in (200, 401, 404)
    assert reply.headers["x-marked"] == "yes"
    assert reply.headers["x-request-id"]
