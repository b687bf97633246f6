"""Request bodies: JSON that can be stored, no longer and no deeper than we can handle."""

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
"""Levels of JSON; what is deeper could be read, but not written again (orjson stops at 254)."""


class TooDeep(Invalid):
    """The JSON is nested too deeply."""

    code = "too_deep"
    detail = f"The JSON is nested too deeply: at most {MAX_DEPTH} levels."


class JsonRequest(Request):
    """A request whose JSON is parsed strictly: no NaN and no lone surrogates."""

    async def json(self) -> Any:
        """Return the parsed body.

        Raises:
            TooDeep: It could not be stored.
        """
        if not hasattr(self, "_json"):
            self._json = parse_json(await self.body())
        return self._json


def parse_json(text: bytes) -> Any:
    """Return what JSON holds.

    Raises:
        TooDeep: It could not be stored.
    """
    value = orjson.loads(text)
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH:
        check_depth(value)
    return value


def parse_part(text: bytes, model: type[Model]) -> Model:
    """Return what the part `json` of a form holds.

    Raises:
        BadRequest: It is no JSON.
        Invalid: It does not fit the model, or could not be stored.
    """
    try:
        return model.model_validate(parse_json(text))
    except orjson.JSONDecodeError:
        raise BadRequest("The part `json` is no JSON.") from None
    except ValidationError as exc:
        raise validation_problem(
            [{**error, "loc": ("json", *error["loc"])} for error in exc.errors()]
        ) from None


def check_depth(value: Any) -> None:
    """Hold parsed JSON against the depth that can be stored.

    Raises:
        TooDeep: It could not be stored.
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
    """Return the length that a body is said to have; 0 where none is said."""
    declared = header(request.scope, b"content-length")
    return int(declared) if declared.isascii() and declared.isdigit() else 0


def limited(request: Request, limit: int) -> Callable[[], Coroutine[Any, Any, Message]]:
    """Return a receive that stops reading at the limit, at once where the length is declared.

    Raises:
        TooLarge: The body is longer than `limit` bytes.
    """
    declared = declared_bytes(request)
    if declared > limit:
        raise TooLarge(f"The body has {declared} bytes; the limit is {limit}.")
    seen = 0

    async def receive() -> Message:
        nonlocal seen
        message = await request.receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise TooLarge(f"The body is larger than the limit of {limit} bytes.")
        return message

    return receive
