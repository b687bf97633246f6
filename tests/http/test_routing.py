"""Tests of the route table."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from starlette.routing import Match
from starlette.types import Scope

from app.domains import DOMAINS
from app.http.routing import RouteTable
from app.registration import access_table, secured_routes
from tests.support.services import Service

TABLE = RouteTable(secured_routes(DOMAINS))
ROUTES = access_table(secured_routes(DOMAINS))


def request(method: str, path: str) -> Scope:
    """Return an ASGI scope with the keys that routing uses."""
    return {"type": "http", "method": method, "path": path}


ORIGIN = "https://ui.example"


@pytest.mark.parametrize(("method", "path"), list(ROUTES))
def test_every_route_is_found_with_its_path_parameters(method: str, path: str) -> None:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    named = {name: f"some-{name}.x" for name in names}
    match, found = TABLE.matches(request(method, path.format(**named)))
    assert match is Match.FULL
    assert (found["route"].path_format, found["path_params"]) == (path, named)
    assert method in found["route"].methods


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/nothing"),
        ("GET", "/v1/assets/"),
        ("GET", "/v1/assets/a/content/b"),
        ("GET", "/v1"),
        ("GET", "/docs"),
        ("GET", ""),
    ],
)
def test_other_requests_do_not_match(method: str, path: str) -> None:
    assert TABLE.matches(request(method, path)) == (Match.NONE, {})


async def test_problems_have_cors_headers_for_an_allowed_origin(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(allowed_origins=(ORIGIN,))
    async with httpx.AsyncClient(base_url=service.url, headers={"Origin": ORIGIN}) as browser:
        for path, status in (("/v1/me", 401), ("/v1/nothing", 404), ("/healthz", 200)):
            reply = await browser.get(path)
            assert reply.status_code == status
            assert reply.headers["access-control-allow-origin"] == ORIGIN
            assert len(reply.headers["x-request-id"]) == 32
