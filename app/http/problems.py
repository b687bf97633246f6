"""Errors as problem details (RFC 9457), from one tree of exceptions.

    ProblemError
    ├── BadRequest 400        ├── PreconditionFailed 412
    ├── Unauthorized 401      ├── TooLarge 413
    ├── Forbidden 403         ├── RangeNotSatisfiable 416
    ├── NotFound 404          ├── Invalid 422
    ├── Conflict 409          └── Unavailable 503
    └── Gone 410

A domain derives its own from these, with a stable `code` and a default `detail`.
"""

from __future__ import annotations

import http
import logging
from typing import Any, ClassVar

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.database.errors import DATABASE_AWAY, is_database_away
from app.runtime.request_context import request_id

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class ProblemError(Exception):
    """An error with an answer; `detail` is for people, `code` for programs."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    detail: str = "Something went wrong on our side."

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.detail = detail or type(self).detail
        self.errors = errors
        self.headers = headers or {}
        super().__init__(self.detail)


class BadRequest(ProblemError):
    """The request cannot be read."""

    status = 400
    code = "bad_request"
    detail = "The request cannot be read."


class Unauthorized(ProblemError):
    """No token, or one that is unknown, revoked or expired."""

    status = 401
    code = "unauthorized"
    detail = (
        "Send `Authorization: Bearer <token>` with a token that is known, not revoked, not expired."
    )

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(ProblemError):
    """A good token that may not do this."""

    status = 403
    code = "forbidden"
    detail = "This token may not do that."


class NotFound(ProblemError):
    """It does not exist, or not for the caller."""

    status = 404
    code = "not_found"
    detail = "There is nothing here."


class Conflict(ProblemError):
    """The state of the object does not allow it."""

    status = 409
    code = "conflict"
    detail = "The state of the object does not allow this."


class Gone(ProblemError):
    """It was there once."""

    status = 410
    code = "gone"
    detail = "It was there once."


class PreconditionFailed(ProblemError):
    """`If-Match` names another version."""

    status = 412
    code = "precondition_failed"
    detail = "It has changed since: read it again, and send its new ETag in If-Match."


class TooLarge(ProblemError):
    """More bytes than the limit."""

    status = 413
    code = "too_large"
    detail = "The body is larger than the limit."


class RangeNotSatisfiable(ProblemError):
    """The range begins behind the end."""

    status = 416
    code = "range_not_satisfiable"
    detail = "The range lies outside the file."


class Invalid(ProblemError):
    """It can be read, but it is wrong."""

    status = 422
    code = "invalid"
    detail = "The input is wrong."


class Unavailable(ProblemError):
    """Something that the service stands on is away; trying again later helps."""

    status = 503
    code = "unavailable"
    detail = "The service cannot answer right now."

    def __init__(self, detail: str | None = None, *, retry_after_s: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)})


class DatabaseUnavailable(Unavailable):
    """PostgreSQL does not answer."""

    code = "database_unavailable"
    detail = "The database does not answer."


def problem(exc: ProblemError, *, instance: str | None) -> dict[str, Any]:
    """Return the body of an error."""
    body: dict[str, Any] = {
        "type": f"/problems/{exc.code}",
        "title": http.HTTPStatus(exc.status).phrase,
        "status": exc.status,
        "detail": exc.detail,
        "instance": instance,
        "code": exc.code,
        "request_id": request_id.get(),
    }
    if exc.errors is not None:
        body["errors"] = exc.errors
    return body


def problem_response(exc: ProblemError, *, instance: str | None) -> Response:
    """Return the answer to an error."""
    return Response(
        orjson.dumps(problem(exc, instance=instance)),
        status_code=exc.status,
        headers=exc.headers,
        media_type=MEDIA_TYPE,
    )


def validation_problem(errors: list[dict[str, Any]]) -> Invalid:
    """Return the 422 for pydantic's errors, without the input: it may hold a secret."""
    items = [
        {"loc": list(e["loc"]), "msg": e["msg"].removeprefix("Value error, "), "type": e["type"]}
        for e in errors
    ]
    first = items[0]
    where = ".".join(str(part) for part in first["loc"]) or "the body"
    more = f" (and {len(items) - 1} more)" if len(items) > 1 else ""
    return ValidationFailed(f"{where}: {first['msg']}{more}", errors=items)


class ValidationFailed(Invalid):
    """The body or the parameters do not fit their schema."""

    code = "validation_error"


_BY_STATUS: dict[int, type[ProblemError]] = {
    400: BadRequest,
    404: NotFound,
    413: TooLarge,
}


class MethodNotAllowed(ProblemError):
    """The path exists, not for this method."""

    status = 405
    code = "method_not_allowed"
    detail = "This path does not answer to that method."


def from_exception(exc: Exception) -> ProblemError:
    """Return the problem that an exception of any kind is answered with."""
    if isinstance(exc, ProblemError):
        return exc
    if isinstance(exc, RequestValidationError):
        return validation_problem(list(exc.errors()))
    if isinstance(exc, HTTPException):
        if exc.status_code == MethodNotAllowed.status:
            return MethodNotAllowed(headers=dict(exc.headers or {}))
        return _BY_STATUS.get(exc.status_code, ProblemError)()
    if is_database_away(exc):
        logger.warning("database away: %s", exc)
        return DatabaseUnavailable()
    logger.error("unhandled exception", exc_info=exc)
    return ProblemError()


async def _handle(request: Request, exc: Exception) -> Response:
    return problem_response(from_exception(exc), instance=request.url.path)


def install(app: FastAPI) -> None:
    """Answer every exception of `app` with problem details."""
    for kind in (ProblemError, RequestValidationError, HTTPException, *DATABASE_AWAY):
        app.add_exception_handler(kind, _handle)
