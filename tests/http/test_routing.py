"""From a request to its route, with as little of FastAPI as the route needs."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from app.access import ROUTES
from app.application import ROUTERS
from app.http.direct import direct
from app.http.routing import Dispatch
from tests.support.services import Service

ALL = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
ORIGIN = "https://ui.example"


@pytest.mark.parametrize(("method", "path"), list(ROUTES))
def test_every_route_is_found_with_what_its_path_names(method: str, path: str) -> None:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    named = {name: f"some-{name}.x" for name in names}
    found = Dispatch(FastAPI(), ALL).find(method, path.format(**named))
    assert found is not None
    assert (found[0].path_format, found[1]) == (path, named)
    assert method in (found[0].methods or ())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v1/me"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1/assets/"),
        ("GET", "/v1/assets/a/content/b"),
        ("GET", "/v1"),
        ("GET", "/docs"),
        ("GET", ""),
    ],
)
def test_what_is_no_route_is_left_to_fastapi(method: str, path: str) -> None:
    assert Dispatch(FastAPI(), ALL).find(method, path) is None


def test_the_hottest_routes_are_not_solved_by_fastapi() -> None:
    names = {route.name for route in ALL if direct(route.dependant) is not None}
    assert {"get_asset", "get_urls", "list_assets", "get_content", "get_events"} <= names


async def test_a_page_of_an_allowed_origin_sees_problems_too(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(allowed_origins=(ORIGIN,))
    async with httpx.AsyncClient(base_url=service.url, headers={"Origin": ORIGIN}) as browser:
        for path, status in (("/v1/me", 401), ("/v1/nothing", 404), ("/healthz", 200)):
            reply = await browser.get(path)
            assert reply.status_code == status
            assert reply.headers["access-control-allow-origin"] == ORIGIN
            assert len(reply.headers["x-request-id"]) == 32
