"""Pages and documents that describe the API; none of them loads files of other servers."""

from __future__ import annotations

import asyncio
from importlib.resources import as_file, files
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from app.http.responses import json_response

_ASYNCAPI = Path(__file__).parents[2] / "openapi" / "asyncapi.yaml"
_STATIC = "/docs/static"


def install(app: FastAPI) -> None:
    """Add `/docs`, `/openapi.json` and `/asyncapi.yaml` to `app`."""
    with as_file(files("fastapi_offline") / "static") as folder:
        app.mount(_STATIC, StaticFiles(directory=folder))
    app.add_route("/docs", _swagger_ui)
    app.add_route("/openapi.json", _openapi)
    app.add_route("/asyncapi.yaml", _asyncapi)


async def _openapi(request: Request) -> Response:
    # The first call takes half a second, in which a thread does not hold the event loop.
    document = await asyncio.to_thread(request.app.openapi)
    return json_response(document)


async def _asyncapi(_request: Request) -> FileResponse:
    return FileResponse(_ASYNCAPI, media_type="application/yaml")


async def _swagger_ui(_request: Request) -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Processing Context API",
        swagger_js_url=f"{_STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{_STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{_STATIC}/favicon.png",
        # The badge would send the URL of the document to a validator in the internet.
        swagger_ui_parameters={"validatorUrl": None},
    )
