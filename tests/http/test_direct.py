"""What is solved without FastAPI is solved as FastAPI does it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal

import httpx
import orjson
import pytest
from fastapi import Depends, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from app.http.direct import direct
from app.http.pagination import EmptyAsAbsent, PageSize
from app.http.request_body import JsonRequest

JSON = "application/json"
BODIES = (
    *(b"", b" ", b"{", b"null", b"[]", b"7", b'"x"', b"\xff", b'{"n": 1}', b'{"n": 2.0}'),
    *(b'{"n": "x", "m": [1]}', b'{"n": -1}', b'{"n": 1, "other": 2}', b'{"m": {"a": "b"}}'),
)
TYPES = (JSON, "Application/JSON; charset=utf-8", "application/merge-patch+json", "text/json", "")


class Item(BaseModel):
    """A body."""

    model_config = ConfigDict(extra="forbid")

    n: Annotated[int, Field(ge=0)]
    m: dict[str, str] = {}


async def _path(request: Request) -> str:
    return request.url.path


Path = Annotated[str, Depends(_path)]
Tag = Annotated[str | None, Header(alias="X-Tag")]


async def required(name: str, path: Path, body: Item, tag: Tag = None) -> Response:
    return Response(orjson.dumps([name, path, tag, body.model_dump()]))


async def optional(name: str, request: Request, body: Item | None = None) -> Response:
    return Response(orjson.dumps([name, request.method, body and body.model_dump()]))


async def none(name: str, path: Path, tag: Tag = None) -> Response:
    return Response(orjson.dumps([name, path, tag]))


Flag = Annotated[bool | None, EmptyAsAbsent, Query()]
Kind = Annotated[Literal["a", "b"] | None, EmptyAsAbsent, Query(alias="type")]


async def _page(page_size: PageSize = None, cursor: str = "") -> str:
    return f"{page_size} {cursor}"


async def asked(
    name: str,
    page: Annotated[str, Depends(_page)],
    flag: Flag = None,
    kind: Kind = None,
    after: Annotated[int, Query(ge=0)] = 5,
) -> Response:
    return Response(orjson.dumps([name, page, flag, kind, after]))


Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class _ByFastAPI(APIRoute):
    def get_route_handler(self) -> Handler:
        handler = super().get_route_handler()

        async def with_our_json(request: Request) -> Response:
            return await handler(JsonRequest(request.scope, request.receive))

        return with_our_json


class _Direct(APIRoute):
    def get_route_handler(self) -> Handler:
        handler = direct(self.dependant)
        assert handler is not None

        async def with_our_json(request: Request) -> Response:
            return await handler(JsonRequest(request.scope, request.receive))

        return with_our_json


async def _errors(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    said = [(error["type"], error["loc"], error["msg"]) for error in exc.errors()]
    return Response(orjson.dumps(said), status_code=422)


def app_of(kind: type[APIRoute]) -> FastAPI:
    """Return an application with all endpoints."""
    app = FastAPI()
    app.add_exception_handler(RequestValidationError, _errors)
    app.router.route_class = kind
    for endpoint in (required, optional, none, asked):
        app.post(f"/{endpoint.__name__}/{{name}}")(endpoint)
    return app


async def answer(app: FastAPI, path: str, body: bytes, headers: dict[str, str]) -> Any:
    """Return the status, and the values or the errors."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        reply = await http.post(path, content=body, headers=headers)
    return reply.status_code, reply.json()


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("endpoint", ["required", "optional", "none"])
async def test_every_body_is_answered_alike(endpoint: str, body: bytes, content_type: str) -> None:
    headers = {"X-Tag": "a b"} | ({"Content-Type": content_type} if content_type else {})
    path = f"/{endpoint}/a%20b"
    ours, theirs = app_of(_Direct), app_of(_ByFastAPI)
    expected = await answer(theirs, path, body, headers)
    assert await answer(ours, path, body, headers) == expected


@pytest.mark.parametrize(
    "query",
    [
        *("", "flag=", "flag=1", "flag=x", "type=a", "type=c", "type=", "kind=a", "after=7"),
        *("after=-1", "after=", "after=x&flag=x&page_size=x", "page_size=0&type=c"),
        *("page_size=1001&after=-1", "page_size=7&cursor=c&flag=true&type=b&after=0&more=1"),
        *("after=1&after=2", "cursor=%00%C3%A4", "cursor=a+b%20c", "page_size=%207"),
    ],
)
async def test_every_query_is_answered_alike(query: str) -> None:
    ours, theirs = app_of(_Direct), app_of(_ByFastAPI)
    expected = await answer(theirs, f"/asked/x?{query}", b"", {})
    assert await answer(ours, f"/asked/x?{query}", b"", {}) == expected


def test_what_fastapi_has_to_solve_is_left_to_it() -> None:
    async def asks(q: str) -> Response:
        return Response(q)

    async def number(n: int) -> Response:
        return Response(str(n))

    async def model(body: Item) -> Item:
        return body

    async def two(one: Item, other: Item) -> Response:
        return Response(f"{one}{other}")

    def in_a_thread() -> Response:
        return Response()

    async def both(body: Item, n: int = 0) -> Response:
        return Response(f"{body}{n}")

    async def many(n: Annotated[list[int], Query()] = []) -> Response:  # noqa: B006
        return Response(f"{n}")

    async def must(n: int) -> Response:
        return Response(f"{n}")

    paths: dict[Callable[..., Any], str] = {
        asks: "/",
        number: "/{n}",
        model: "/",
        two: "/",
        in_a_thread: "/",
        both: "/",
        many: "/",
        must: "/",
    }
    solved = [
        endpoint.__name__
        for endpoint, path in paths.items()
        if direct(APIRoute(path, endpoint).dependant) is not None
    ]
    assert solved == []
