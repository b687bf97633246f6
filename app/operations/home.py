"""The page at `/`: what the service is, and where its documentation and health checks are."""

from __future__ import annotations

from html import escape

from app.operations.schemas import Home

_TEXT = {
    "documentation": "Documentation of the API, to try it out",
    "openapi": "OpenAPI document of the routes",
    "asyncapi": "AsyncAPI document of the WebSocket",
    "health": "Health: the process is running",
    "readiness": "Readiness: database and storage can be used",
}


def wants_html(accept: str) -> bool:
    """Return True if an Accept header is that of a browser."""
    return "text/html" in accept.lower()


def page(home: Home) -> str:
    """Return the page in HTML."""
    links = "".join(
        f'<li><a href="{escape(path)}"><code>{escape(path)}</code></a> {_TEXT[name]}</li>'
        for name, path in home.links.model_dump().items()
        if name in _TEXT
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="/docs/static/favicon.png">'
        f"<title>{escape(home.name)}</title></head>"
        '<body style="font: 16px/1.5 system-ui, sans-serif; max-width: 40em; margin: 3em auto">'
        f"<h1>{escape(home.name)}</h1><p>{escape(home.description)}</p>"
        f"<p>Version {escape(home.version)}. Requests to <code>{escape(home.links.api)}</code> "
        f"require a token: <code>Authorization: Bearer &lt;token&gt;</code>.</p>"
        f"<ul>{links}</ul></body></html>"
    )
