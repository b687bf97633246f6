"""Pages and documents that describe the API; none of them loads files of other servers."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse
from starlette.staticfiles import StaticFiles

DOCUMENTS = Path(__file__).parents[2] / "openapi"
"""Folder of the generated documents (scripts/openapi); generating one takes half a second."""

_MEDIA_TYPES = {"openapi.json": "application/json", "asyncapi.yaml": "application/yaml"}
_STATIC = "/docs/static"


def install(app: FastAPI) -> None:
    """Add `/docs`, `/openapi.json` and `/asyncapi.yaml` to `app`."""
    with as_file(files("fastapi_offline") / "static") as folder:
        app.mount(_STATIC, StaticFiles(directory=folder))
    app.add_route("/docs", _swagger_ui)
    for name in _MEDIA_TYPES:
        app.add_route(f"/{name}", _document)


async def _document(request: Request) -> FileResponse:
    name = request.scope["path"].removeprefix("/")
    return FileResponse(DOCUMENTS / name, media_type=_MEDIA_TYPES[name])


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
