"""JSON request bodies with limits on length and depth."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from functools import lru_cache
from typing import Any, Literal, TypeVar

import orjson
import pydantic
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, TypeAdapter
from starlette.requests import Request
from starlette.types import Message, Receive, Scope

from app.http.dependencies import services_of
from app.http.headers import header
from app.http.json_parser import parse_json
from app.http.json_threads import SMALL_BYTES, JsonThreads
from app.http.problems import (
    BadRequest,
    ProblemError,
    TooLarge,
    UnsupportedMediaType,
    ValidationFailed,
    validation_problem,
)
from app.settings import Settings
from processing_context.wire.graph import GraphLimits
from processing_context.wire.media_types import essence

Model = TypeVar("Model", bound=BaseModel)

_MAX_DESCRIBED = 10_000
"""Errors of one body up to which they are described; each description takes some 1 µs."""

_JSON = re.compile(r"application/([^\s/]+\+)?json")


class BodyStalled(ProblemError):
    """The client sent no byte of the body for too long."""

    status = 408
    code = "body_stalled"

    def __init__(self, stall_s: float) -> None:
        super().__init__(
            f"No byte of the body was received for {stall_s:g} s: send it again.",
            headers={"Connection": "close"},
        )


class JsonRequest(Request):
    """Request whose JSON is parsed strictly, and in a thread if it is large.

    Args:
        scope: The ASGI scope.
        receive: The ASGI `receive`.
        threads: The threads for large bodies.
        model: Validates the body; a large body is validated in the thread too, and `json()`
            returns the validated model, which FastAPI accepts as it is.
        limits: The limits of graphs in the body.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        threads: JsonThreads,
        model: TypeAdapter[Any] | None,
        limits: GraphLimits | None = None,
    ) -> None:
        super().__init__(scope, receive)
        self._threads = threads
        self._model = model
        self._limits = limits

    async def body(self) -> bytes:
        """Return the body.

        Raises:
            UnsupportedMediaType: Its Content-Type is not that of JSON.
        """
        body = await super().body()
        if body and not _is_json(header(self.scope, b"content-type")):
            raise UnsupportedMediaType
        return body

    async def json(self) -> Any:
        """Return the parsed body.

        Raises:
            TooDeep: It has too many levels.
            ValidationFailed: It has an integer beyond 64 bits.
            RequestValidationError: It is large, and does not fit the model.
        """
        if not hasattr(self, "_json"):
            body = await self.body()
            self._json = await self._threads.run(len(body), self._parse, body)
        return self._json

    def _parse(self, body: bytes) -> Any:
        value = parse_json(body)
        if self._model is None or len(body) <= SMALL_BYTES:
            return value
        return validated(self._model, value, limits=self._limits)


@lru_cache(maxsize=256)
def _is_json(content_type: str) -> bool:
    return _JSON.fullmatch(essence(content_type)) is not None


def validated(
    model: TypeAdapter[Any],
    value: Any,
    *,
    limits: GraphLimits | None = None,
    extra: Literal["allow", "ignore", "forbid"] | None = None,
) -> Any:
    """Return a validated body.

    Args:
        model: The model.
        value: The parsed body.
        limits: The limits of graphs in the body.
        extra: What unknown fields are, if not what the model says.

    Raises:
        RequestValidationError: It does not fit the model.
        ValidationFailed: It has so many errors that none is described.
    """
    try:
        return model.validate_python(value, context=limits, extra=extra)
    except pydantic.ValidationError as exc:
        if exc.error_count() > _MAX_DESCRIBED:
            raise ValidationFailed(
                f"The body has {exc.error_count()} errors.", error_count=exc.error_count()
            ) from None
        errors = exc.errors(include_url=False, include_input=False, include_context=False)
    raise RequestValidationError([{**error, "loc": ("body", *error["loc"])} for error in errors])


async def parse_part(threads: JsonThreads, text: bytes, model: type[Model]) -> Model:
    """Return the validated content of the part `json` of a form.

    Raises:
        BadRequest: It is not valid JSON.
        Invalid: It does not fit the model, is nested too deeply, or has too large integers.
    """
    return await threads.run(len(text), _parse_part, text, model)


def _parse_part(text: bytes, model: type[Model]) -> Model:
    try:
        return model.model_validate(parse_json(text))
    except orjson.JSONDecodeError:
        raise BadRequest("The part `json` of the form is not valid JSON.") from None
    except pydantic.ValidationError as exc:
        raise validation_problem(
            [{**error, "loc": ("json", *error["loc"])} for error in exc.errors()]
        ) from None


def declared_bytes(request: Request) -> int:
    """Return the Content-Length of a request, or 0."""
    declared = header(request.scope, b"content-length")
    return int(declared) if declared.isascii() and declared.isdigit() else 0


def limited(request: Request, limit: int) -> Callable[[], Coroutine[Any, Any, Message]]:
    """Return an ASGI `receive` that raises `TooLarge` once a body exceeds the limit.

    It raises `BodyStalled` when the body makes no progress; slow bodies are accepted.

    Raises:
        TooLarge: The Content-Length is over `limit` bytes.
    """
    declared = declared_bytes(request)
    if declared > limit:
        raise TooLarge(f"The body has {declared} bytes; the limit is {limit} bytes.")
    stall_s = services_of(request).get(Settings).stalled_body_s
    seen = 0
    is_complete = False

    async def receive() -> Message:
        nonlocal seen, is_complete
        if is_complete:
            return await request.receive()
        try:
            async with asyncio.timeout(stall_s):
                message = await request.receive()
        except TimeoutError:
            raise BodyStalled(stall_s) from None
        is_complete = not message.get("more_body", False)
        seen += len(message.get("body", b""))
        if seen > limit:
            raise TooLarge(f"The body is larger than the limit of {limit} bytes.")
        return message

    return receive
