"""Tree of exceptions that are returned as problem details (RFC 9457).

    ProblemError
    ├── BadRequest 400        ├── PreconditionFailed 412
    ├── Unauthorized 401      ├── TooLarge 413
    ├── Forbidden 403         ├── RangeNotSatisfiable 416
    ├── NotFound 404          ├── Invalid 422
    ├── MethodNotAllowed 405  ├── UnsupportedMediaType 415
    ├── Conflict 409          └── Unavailable 503
    └── Gone 410

Domains derive their own from these, with a stable `code` and a default `detail`; errors about a
missing object derive from `ObjectNotFound`.
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

from app.database.errors import DATABASE_AWAY, is_database_away, is_out_of_resources
from app.runtime.request_context import request_id

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

MAX_ERRORS = 100
"""Errors of an invalid request that a response describes."""


class ProblemError(Exception):
    """Base class of errors with a problem response; `detail` is for people, `code` for programs.

    A response has the first `MAX_ERRORS` of `errors`, and their number.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    detail: str = "The service failed; its log has the cause under this request id."

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: list[dict[str, Any]] | None = None,
        error_count: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.detail = detail or type(self).detail
        self.errors = None if errors is None else errors[:MAX_ERRORS]
        self.error_count = len(errors or ()) if error_count is None else error_count
        self.headers = headers or {}
        super().__init__(self.detail)


class BadRequest(ProblemError):
    """The request is malformed."""

    status = 400
    code = "bad_request"
    detail = "The request is malformed."


class Unauthorized(ProblemError):
    """The token is missing, unknown, revoked or expired."""

    status = 401
    code = "unauthorized"
    detail = (
        "Send `Authorization: Bearer <token>` with a token that is known, not revoked, not expired."
    )

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(ProblemError):
    """The token is valid but lacks the rights for the request."""

    status = 403
    code = "forbidden"
    detail = "This token lacks the rights for the request."


class NotFound(ProblemError):
    """The path or the object does not exist."""

    status = 404
    code = "not_found"
    detail = "This path does not exist: see /docs for the routes."


class ObjectNotFound(NotFound):
    """The object does not exist, or the caller may not see it.

    The two cases have the same response, so that callers cannot probe for ids. `noun` is the kind
    of the object; the message contains the id as the request named it, and no other property.
    """

    noun: ClassVar[str] = "Object"

    def __init__(self, object_id: str) -> None:
        super().__init__(f"{self.noun} {object_id} was not found.")


class MethodNotAllowed(ProblemError):
    """The path exists, but not for this method."""

    status = 405
    code = "method_not_allowed"
    detail = "This path does not support the method: see the Allow header."


class Conflict(ProblemError):
    """The state of the object does not allow the request."""

    status = 409
    code = "conflict"
    detail = "The state of the object does not allow the request."


class Gone(ProblemError):
    """The object existed, but has been removed."""

    status = 410
    code = "gone"
    detail = "The object has been removed."


class PreconditionFailed(ProblemError):
    """The object has another ETag than the If-Match header."""

    status = 412
    code = "precondition_failed"
    detail = (
        "The object has changed since it was read: read it again and send its new ETag in If-Match."
    )


class TooLarge(ProblemError):
    """The body or the file exceeds a limit."""

    status = 413
    code = "too_large"
    detail = "The body is larger than the limit."


class UnsupportedMediaType(ProblemError):
    """The body has another media type than the route accepts."""

    status = 415
    code = "unsupported_media_type"
    detail = "Send the JSON body with the header `Content-Type: application/json`."


class RangeNotSatisfiable(ProblemError):
    """The requested range is outside of the file."""

    status = 416
    code = "range_not_satisfiable"
    detail = "The requested range is outside of the file."


class Invalid(ProblemError):
    """The request is well-formed, but its content is invalid."""

    status = 422
    code = "invalid"
    detail = "The content of the request is invalid."


class Unavailable(ProblemError):
    """A server that the service depends on is unavailable; a retry may succeed."""

    status = 503
    code = "unavailable"
    detail = "The service is temporarily unavailable: retry after the time in Retry-After."

    def __init__(self, detail: str | None = None, *, retry_after_s: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)})


class DatabaseUnavailable(Unavailable):
    """PostgreSQL cannot be reached."""

    code = "database_unavailable"
    detail = "The database cannot be reached: retry after the time in Retry-After."


class DatabaseFull(Unavailable):
    """PostgreSQL has no disk space or memory left."""

    code = "database_full"
    detail = (
        "The database has no disk space or memory left, so nothing was stored: retry after the "
        "time in Retry-After, or ask the operator of the service for more space."
    )

    def __init__(self) -> None:
        super().__init__(retry_after_s=10)


def problem(exc: ProblemError, *, instance: str | None) -> dict[str, Any]:
    """Return the problem details of an error."""
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
    if exc.error_count:
        body["error_count"] = exc.error_count
    return body


def problem_response(exc: ProblemError, *, instance: str | None) -> Response:
    """Return the response to an error."""
    return Response(
        orjson.dumps(problem(exc, instance=instance)),
        status_code=exc.status,
        headers=exc.headers,
        media_type=MEDIA_TYPE,
    )


def validation_problem(errors: list[dict[str, Any]]) -> Invalid:
    """Return the problem for pydantic's errors, without the input, which may contain a secret."""
    items = [_validation_item(error) for error in errors]
    first = items[0]
    where = ".".join(str(part) for part in first["loc"]) or "the body"
    more = f" (and {len(items) - 1} more)" if len(items) > 1 else ""
    return ValidationFailed(f"{where}: {first['msg']}{more}", errors=items)


def _validation_item(error: dict[str, Any]) -> dict[str, Any]:
    loc, message = list(error["loc"]), error["msg"].removeprefix("Value error, ")
    if error["type"] == "json_invalid" and "ctx" in error:  # by FastAPI, which appends the offset
        *loc, offset = loc
        message = f"not valid JSON at character {offset}: {error['ctx']['error']}"
    return {"loc": loc, "msg": message, "type": error["type"]}


class ValidationFailed(Invalid):
    """The body or a parameter does not fit its schema."""

    code = "validation_error"


_BY_STATUS: dict[int, type[ProblemError]] = {
    400: BadRequest,
    404: NotFound,
    413: TooLarge,
}


def from_exception(exc: Exception) -> ProblemError:
    """Return the problem for an exception of any class."""
    if isinstance(exc, ProblemError):
        return exc
    if isinstance(exc, RequestValidationError):
        return validation_problem(list(exc.errors()))
    if isinstance(exc, HTTPException):
        if exc.status_code == MethodNotAllowed.status:
            return MethodNotAllowed(headers=dict(exc.headers or {}))
        return _BY_STATUS.get(exc.status_code, ProblemError)()
    if is_database_away(exc):
        logger.warning("the database cannot serve: %s", exc)
        return DatabaseFull() if is_out_of_resources(exc) else DatabaseUnavailable()
    logger.error("unhandled exception", exc_info=exc)
    return ProblemError()


async def _handle(request: Request, exc: Exception) -> Response:
    return problem_response(from_exception(exc), instance=request.scope["path"])


def install(app: FastAPI) -> None:
    """Add handlers to `app` that reply to every exception with problem details."""
    for kind in (ProblemError, RequestValidationError, HTTPException, *DATABASE_AWAY):
        app.add_exception_handler(kind, _handle)
