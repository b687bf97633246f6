"""JSON bodies and queries, read and checked as FastAPI does it, without the rest of its solving."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import Message
from functools import lru_cache
from json import JSONDecodeError
from typing import Any

import pydantic
from fastapi._compat import ModelField
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from app.http.headers import header


async def read_body(request: Request, adapter: TypeAdapter[Any], *, is_required: bool) -> Any:
    """Return the body; None where there is none and none is required.

    Raises:
        RequestValidationError: It is no JSON, or does not fit.
    """
    try:
        body: Any = await request.body()
        if body and _is_json(header(request.scope, b"content-type")):
            body = await request.json()
        elif not body:
            if is_required:
                raise RequestValidationError([_problem("missing", (), "Field required")])
            return None
    except JSONDecodeError as exc:
        problem = _problem("json_invalid", (exc.pos,), "JSON decode error")
        raise RequestValidationError([problem]) from exc
    except ClientDisconnect as exc:
        raise HTTPException(400) from exc
    if body is None and not is_required:
        return None
    try:
        return adapter.validate_python(body, from_attributes=True)
    except pydantic.ValidationError as exc:
        raise RequestValidationError(
            [
                _problem(error["type"], error["loc"], error["msg"])
                for error in exc.errors(include_url=False, include_input=False)
            ]
        ) from None


def read_query(request: Request, fields: Sequence[ModelField]) -> dict[str, Any]:
    """Return the values of a query by their names there.

    Raises:
        RequestValidationError: Some do not fit.
    """
    if not fields:
        return {}
    given = request.query_params
    values: dict[str, Any] = {}
    problems: list[Any] = []
    for field in fields:
        name = field.alias
        if name in given:
            values[name], wrong = field.validate(given[name], loc=("query", name))
            problems += wrong
        else:
            values[name] = field.default
    if problems:
        raise RequestValidationError(problems)
    return values


def _problem(kind: str, loc: tuple[int | str, ...], message: str) -> dict[str, Any]:
    return {"type": kind, "loc": ("body", *loc), "msg": message}


@lru_cache(maxsize=64)
def _is_json(content_type: str) -> bool:
    message = Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    is_application = message.get_content_maintype() == "application"
    return is_application and (subtype == "json" or subtype.endswith("+json"))
