"""From a request to its route by a look into a table, however many routes there are.

FastAPI tries one route after the other. What is not in the table is left to it: sockets, the
documentation, paths and methods that do not exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack

from fastapi.routing import APIRoute
from starlette.convertors import StringConvertor
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.problems import from_exception, problem_response

_Shape = tuple[str, int, str]


def _shape(method: str, path: str) -> _Shape:
    """Return what all requests to a route have in common, as far as it can be looked up."""
    parts = path.split("/", 3)
    return method, path.count("/"), parts[2] if len(parts) > 2 else ""


class Dispatch:
    """Runs the route of a request, and answers what it raises."""

    def __init__(self, app: ASGIApp, routes: Iterable[APIRoute]) -> None:
        self._app = app
        self._routes: dict[_Shape, list[APIRoute]] = {}
        for route in routes:
            kinds = map(type, route.param_convertors.values())
            if all(kind is StringConvertor for kind in kinds):
                for method in route.methods or ():
                    shape = _shape(method, route.path_format)
                    self._routes.setdefault(shape, []).append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        is_ours = scope["type"] == "http" and not scope["root_path"]
        found = self.find(scope["method"], scope["path"]) if is_ours else None
        if found is None:
            await self._app(scope, receive, send)
            return
        route, scope["path_params"] = found
        scope["route"] = route
        scope["endpoint"] = route.endpoint
        await _run(route, scope, receive, send)

    def find(self, method: str, path: str) -> tuple[APIRoute, dict[str, str]] | None:
        """Return the route of a request and the parts of the path that it names."""
        for route in self._routes.get(_shape(method, path), ()):
            if match := route.path_regex.match(path):
                return route, match.groupdict()
        return None


async def _run(route: APIRoute, scope: Scope, receive: Receive, send: Send) -> None:
    has_begun = False

    async def watched(message: Message) -> None:
        nonlocal has_begun
        has_begun = True
        await send(message)

    try:
        async with AsyncExitStack() as stack:
            scope["fastapi_middleware_astack"] = stack
            await route.app(scope, receive, watched)
    except Exception as exc:
        if has_begun:
            raise
        response = problem_response(from_exception(exc), instance=scope["path"])
        await response(scope, receive, send)
