"""Routes that need nothing of FastAPI's solving: it costs more than their query.

That is, routes that take parts of the path and headers as they are, either one JSON body or simple
values of the query, the request, and what coroutines make of those, and that make their own
`Response`. All others are solved by FastAPI.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from inspect import iscoroutinefunction
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from fastapi.dependencies.models import Dependant
from fastapi.params import Body, Query
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from starlette.requests import Request
from starlette.responses import Response

from app.http.headers import find_header
from app.http.reading import read_body, read_query

_Scalar = str | int | float | bool

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def direct(dependant: Dependant) -> Handler | None:
    """Return what calls a route's endpoint, or None for one that FastAPI has to solve."""
    endpoint = dependant.call
    if endpoint is None or get_type_hints(endpoint).get("return") is not Response:
        return None
    tree = list(_tree(dependant))
    bodies = [field for each in tree for field in each.body_params]
    asked = [field for each in tree for field in each.query_params]
    # FastAPI makes once what is asked for twice, and tells all that is wrong together.
    is_simple = (
        len({each.call for each in tree}) == len(tree)
        and len({field.alias for field in asked}) == len(asked)
        and len(bodies) == len(dependant.body_params) <= (0 if asked else 1)
    )
    if not (is_simple and all(map(_is_plain, tree))):
        return None
    call = _caller(dependant)

    async def handler(request: Request) -> Response:
        response: Response = await call(request, read_query(request, asked))
        return response

    return handler


def _tree(dependant: Dependant) -> Iterator[Dependant]:
    """Yield the parts in the order in which FastAPI solves them."""
    for each in dependant.dependencies:
        yield from _tree(each)
    yield dependant


def _is_plain(dependant: Dependant) -> bool:
    others = (
        dependant.cookie_params,
        dependant.http_connection_param_name,
        dependant.websocket_param_name,
        dependant.background_tasks_param_name,
        dependant.response_param_name,
        dependant.security_scopes_param_name,
    )
    return (
        iscoroutinefunction(dependant.call)
        and not any(others)
        and all(field.field_info.annotation is str for field in dependant.path_params)
        and not any(field.field_info.metadata for field in dependant.path_params)
        and all(_is_plain_header(field.field_info) for field in dependant.header_params)
        and all(_is_plain_query(field.field_info) for field in dependant.query_params)
        and all(type(field.field_info) is Body for field in dependant.body_params)
    )


def _is_plain_header(info: FieldInfo) -> bool:
    return info.annotation == str | None and info.default is None and not info.metadata


def _is_plain_query(info: FieldInfo) -> bool:
    kinds = [_bare(kind) for kind in get_args(info.annotation) or (info.annotation,)]
    return (
        type(info) is Query
        and isinstance(info.default, _Scalar | None)
        and all(kind in (*get_args(_Scalar), NoneType, Literal) for kind in kinds)
    )


def _bare(kind: Any) -> Any:
    """Return a type without its constraints, and of a literal only that it is one."""
    origin = get_origin(kind)
    return get_args(kind)[0] if origin is Annotated else origin or kind


def _caller(
    dependant: Dependant,
) -> Callable[[Request, Mapping[str, Any]], Coroutine[Any, Any, Any]]:
    call: Callable[..., Awaitable[Any]] = dependant.call  # type: ignore[assignment]
    parts = [(field.name, field.alias) for field in dependant.path_params]
    headers = [(field.name, field.alias.lower().encode()) for field in dependant.header_params]
    bodies: list[tuple[str, TypeAdapter[Any], bool]] = [
        (
            field.name,
            TypeAdapter(field.field_info.annotation or Any),
            field.field_info.is_required(),
        )
        for field in dependant.body_params
    ]
    asked = [(field.name, field.alias) for field in dependant.query_params]
    made = [(str(each.name), _caller(each)) for each in dependant.dependencies]
    request_name = dependant.request_param_name

    async def solve(request: Request, query: Mapping[str, Any]) -> Any:
        values: dict[str, Any] = {name: request.path_params[alias] for name, alias in parts}
        for name, adapter, is_required in bodies:
            values[name] = await read_body(request, adapter, is_required=is_required)
        for name, header in headers:
            values[name] = find_header(request.scope, header)
        for name, make in made:
            values[name] = await make(request, query)
        for name, alias in asked:
            values[name] = query[alias]
        if request_name is not None:
            values[request_name] = request
        return await call(**values)

    return solve
