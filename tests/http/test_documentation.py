"""The pages of the service: documentation that needs no other server, and the page at `/`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import pytest_asyncio
from ruamel.yaml import YAML

from tests.support.services import WAIT_S, Service

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest_asyncio.fixture
async def anonymous(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP client without a token."""
    async with httpx.AsyncClient(base_url=service.url, timeout=WAIT_S) as http:
        yield http


@pytest.mark.parametrize("path", ["/docs", "/"])
async def test_pages_load_nothing_from_other_servers(
    anonymous: httpx.AsyncClient, path: str
) -> None:
    reply = await anonymous.get(path, headers={"Accept": BROWSER})
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/html")
    loaded = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)""", reply.text)
    assert loaded
    for url in loaded:
        assert url.startswith("/"), url
        if not url.startswith("/v1"):
            assert (await anonymous.get(url)).status_code == 200, url


async def test_the_viewer_and_its_document_are_served(anonymous: httpx.AsyncClient) -> None:
    script = await anonymous.get("/docs/static/swagger-ui-bundle.js")
    assert "javascript" in script.headers["content-type"]
    assert "SwaggerUIBundle" in script.text
    document = (await anonymous.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert "/v1/assets" in document["paths"]


async def test_the_document_of_the_socket_is_served(anonymous: httpx.AsyncClient) -> None:
    reply = await anonymous.get("/asyncapi.yaml")
    assert reply.headers["content-type"].startswith("application/yaml")
    document = YAML(typ="safe").load(reply.text)
    assert document["channels"]["socket"]["address"] == "/v1/ws"


async def test_the_home_page_says_what_this_is(anonymous: httpx.AsyncClient) -> None:
    for accept in ("*/*", "application/json", ""):
        reply = await anonymous.get("/", headers={"Accept": accept})
        home = reply.json()
        assert home["name"] == "Processing Context"
        assert reply.headers["vary"] == "Accept"
        for name in ("documentation", "openapi", "asyncapi", "health", "readiness", "metrics"):
            assert (await anonymous.get(home["links"][name])).status_code == 200, name
    page = await anonymous.get("/", headers={"Accept": BROWSER})
    assert home["version"] in page.text
    assert "/docs" in page.text


async def test_metrics_may_require_a_token_of_their_own(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(metrics_token="scrape-me")
    async with httpx.AsyncClient(base_url=service.url, timeout=WAIT_S) as http:
        for headers in ({}, {"Authorization": f"Bearer {service.token}"}, {"Authorization": "x"}):
            for method in ("GET", "HEAD"):
                reply = await http.request(method, "/metrics", headers=headers)
                assert reply.status_code == 401
                assert reply.headers["www-authenticate"] == "Bearer"
        reply = await http.get("/metrics", headers={"Authorization": "Bearer scrape-me"})
        assert "context_http_request_seconds" in reply.text
        assert (await http.get("/healthz")).status_code == 200
