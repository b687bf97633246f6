"""JSON request bodies with limits on length and depth."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.types import Message

from app.http.headers import header
from app.http.problems import BadRequest, Invalid, TooLarge, validation_problem

Model = TypeVar("Model", bound=BaseModel)

MAX_DEPTH = 200
"""Levels of nesting that are accepted; orjson parses more levels than the 254 that it writes."""


class TooDeep(Invalid):
    """The JSON is nested too deeply."""

    code = "too_deep"
    detail = f"The JSON is nested too deeply: at most {MAX_DEPTH} levels are accepted."


class JsonRequest(Request):
    """Request whose JSON is parsed strictly: NaN and lone surrogates are errors."""

    async def json(self) -> Any:
        """Return the parsed body.

        Raises:
            TooDeep: It has more than `MAX_DEPTH` levels.
        """
        if not hasattr(self, "_json"):
            self._json = parse_json(await self.body())
        return self._json


def parse_json(text: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        TooDeep: It has more than `MAX_DEPTH` levels.
        orjson.JSONDecodeError: It is not valid JSON.
    """
    value = orjson.loads(text)
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH:
        check_depth(value)
    return value


def parse_part(text: bytes, model: type[Model]) -> Model:
    """Return the validated content of the part `json` of a form.

    Raises:
        BadRequest: It is not valid JSON.
        Invalid: It does not fit the model, or is nested too deeply.
    """
    try:
        return model.model_validate(parse_json(text))
    except orjson.JSONDecodeError:
        raise BadRequest("The part `json` of the form is not valid JSON.") from None
    except ValidationError as exc:
        raise validation_problem(
            [{**error, "loc": ("json", *error["loc"])} for error in exc.errors()]
        ) from None


def check_depth(value: Any) -> None:
    """Check the depth of parsed JSON.

    Raises:
        TooDeep: It has more than `MAX_DEPTH` levels.
    """
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise TooDeep


def declared_bytes(request: Request) -> int:
    """Return the Content-Length of a request, or 0."""
    declared = header(request.scope, b"content-length")
    return int(declared) if declared.isascii() and declared.isdigit() else 0


def limited(request: Request, limit: int) -> Callable[[], Coroutine[Any, Any, Message]]:
    """Return an ASGI `receive` that raises `TooLarge` once a body exceeds the limit.

    Raises:
        TooLarge: The Content-Length is over `limit` bytes.
    """
    declared = declared_bytes(request)
    if declared > limit:
        raise TooLarge(f"The body has {declared} bytes; the limit is {limit} bytes.")
    seen = 0

    async def receive() -> Message:
        nonlocal seen
        message = await request.receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise TooLarge(f"The body is larger than the limit of {limit} bytes.")
        return message

    return receive
