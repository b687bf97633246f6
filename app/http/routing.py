"""Routes that authenticate before they read the body, and a table that dispatches to them.

FastAPI tries one route after the other. `RouteTable` is a route before all others that looks up the
route of a request by method and path; it is inside the middleware stack, like every route.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.convertors import StringConvertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from app.http.auth import Access, Principal, authenticate, check_access, current_principal
from app.http.dependencies import services_of
from app.http.json_threads import JsonThreads
from app.http.problems import (
    Invalid,
    MethodNotAllowed,
    NotFound,
    ProblemError,
    UnsupportedMediaType,
)
from app.http.request_body import JsonRequest, limited
from app.settings import Settings
from processing_context.wire.graph import GraphLimits

PathLookup = Callable[[Principal, str], Awaitable[object]]
"""Function that looks up the object of a path parameter, and raises its `404` or `403`."""


class PathLookups:
    """Look-ups of the objects that path parameters name.

    An object that does not exist is reported (`404`) before an invalid body or query (`422`). Valid
    requests look up their objects themselves; this class serves those that failed validation.
    """

    def __init__(self, by_parameter: Mapping[str, PathLookup]) -> None:
        self._by_parameter = by_parameter

    def __contains__(self, parameter: str) -> bool:
        return parameter in self._by_parameter

    async def check(self, request: Request) -> None:
        """Look up the objects in the path of a request.

        Raises:
            ProblemError: An object does not exist, or the caller may not change it.
        """
        for name, value in request.path_params.items():
            if name in self._by_parameter:
                await self._by_parameter[name](current_principal(request), value)


class SecuredRoute(APIRoute):
    """Route that checks the caller's token before the body is read.

    `access` is set from the access rules of the route's domain when the application is assembled.
    """

    access: Access

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler, preceded by the check of the token."""
        handler = super().get_route_handler()
        has_body = not set(self.methods or ()) <= {"GET", "HEAD"}
        field = self.body_field
        model: TypeAdapter[Any] | None = None
        if field is not None and field.field_info.annotation is not None:
            model = TypeAdapter(field.field_info.annotation)

        async def secured(request: Request) -> Response:
            if not self.access.public:
                principal = await authenticate(request, allow_ended=self.access.ended_job)
                check_access(self.access, principal)
                request.state.principal = principal
            if "\x00" in request.scope["path"]:
                raise NotFound
            if has_body and not self.access.streams:
                services = services_of(request)
                receive = limited(request, services.get(Settings).max_json_bytes)
                threads, limits = services.get(JsonThreads), services.get(GraphLimits)
                request = JsonRequest(request.scope, receive, threads, model, limits)
            try:
                response = await handler(request)
                return _without_body(response) if request.method == "HEAD" else response
            except RequestValidationError:
                await services_of(request).get(PathLookups).check(request)
                raise
            except HTTPException as exc:
                # FastAPI replies to an unreadable body with a bare 400; the cause has the reason.
                cause = exc.__cause__
                if isinstance(cause, (Invalid, UnsupportedMediaType, RequestValidationError)):
                    await services_of(request).get(PathLookups).check(request)
                if isinstance(cause, (ProblemError, RequestValidationError)):
                    raise cause from None
                raise

        return secured


def _without_body(response: Response) -> Response:
    """Return the response to a HEAD request: a stream is not started, other bodies are not sent."""
    if not isinstance(response, StreamingResponse):
        return response
    head = Response(status_code=response.status_code)
    head.raw_headers = response.raw_headers
    return head


_Shape = tuple[str, int, str]


def _methods(route: APIRoute) -> set[str]:
    """Return the methods of a route; HEAD is the GET without its body."""
    methods = set(route.methods or ())
    return methods | {"HEAD"} if "GET" in methods else methods


def _shape(method: str, path: str) -> _Shape:
    """Return the table key of a method and a path: method, number of parts, second part."""
    parts = path.split("/", 3)
    return method, path.count("/"), parts[2] if len(parts) > 2 else ""


class RouteTable(BaseRoute):
    """Route that dispatches to one of many routes by a look-up instead of a search.

    A GET route serves HEAD too. It does not match other paths: the router then tries its other
    routes.
    """

    def __init__(self, routes: Iterable[APIRoute]) -> None:
        self._routes: dict[_Shape, list[APIRoute]] = {}
        self._methods: set[str] = set()
        for route in routes:
            kinds = map(type, route.param_convertors.values())
            if all(kind is StringConvertor for kind in kinds):
                for method in _methods(route):
                    self._methods.add(method)
                    shape = _shape(method, route.path_format)
                    self._routes.setdefault(shape, []).append(route)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match a request; the child scope holds its route and path parameters."""
        if scope["type"] == "http" and not scope.get("root_path"):
            path = scope["path"]
            for route in self._routes.get(_shape(scope["method"], path), ()):
                if match := route.path_regex.match(path):
                    return Match.FULL, {
                        "route": route,
                        "endpoint": route.endpoint,
                        "path_params": match.groupdict(),
                    }
            if self._allowed(path):
                return Match.FULL, {"route": None}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request with the route that matched.

        Raises:
            MethodNotAllowed: The path has routes for other methods only.
        """
        route = scope["route"]
        if route is None:
            raise MethodNotAllowed(headers={"Allow": ", ".join(self._allowed(scope["path"]))})
        await route.app(scope, receive, send)

    def _allowed(self, path: str) -> list[str]:
        """Return the methods that the routes of a path serve."""
        return sorted(
            method
            for method in self._methods
            if any(
                route.path_regex.match(path) for route in self._routes.get(_shape(method, path), ())
            )
        )

    def url_path_for(self, name: str, /, **path_params: Any) -> Any:
        """Raise NoMatchFound: the routes themselves build their URLs."""
        raise NoMatchFound(name, path_params)
