"""Responses to requests that the HTTP protocol refuses before the application sees them."""

from __future__ import annotations

import http
from collections.abc import Iterable

from app.http.headers import find_header, sane_request_id
from app.http.problems import ProblemError, Unavailable, problem_response
from app.runtime import request_context
from app.runtime.ids import new_id

RETRY_AFTER_S = 10
MAX_INSTANCE_BYTES = 1024

Headers = Iterable[tuple[bytes, bytes]]


class UriTooLong(ProblemError):
    """The request line exceeds the limit on the head."""

    status = 414
    code = "uri_too_long"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request line and the headers are longer than {limit} bytes.")


class HeadersTooLarge(ProblemError):
    """The headers exceed the limit on the head, or are too many."""

    status = 431
    code = "headers_too_large"


class TooManyConnections(Unavailable):
    """The replica, or the client's address, has as many connections as it may have."""

    code = "too_many_connections"
    detail = (
        "Too many connections are open, in total or from this address: close some, or retry after "
        "the time in Retry-After."
    )

    def __init__(self) -> None:
        super().__init__(retry_after_s=RETRY_AFTER_S)


def refusal(
    error: ProblemError, *, url: bytes, request_headers: Headers, default_headers: Headers
) -> bytes:
    """Return a complete HTTP/1.1 response, after which the connection is closed."""
    given = find_header({"headers": request_headers}, b"x-request-id")
    request_id = sane_request_id(given or "") or new_id()
    path = url.partition(b"?")[0]
    token = request_context.request_id.set(request_id)
    try:
        response = problem_response(
            error,
            instance=path.decode("latin-1") if len(path) <= MAX_INSTANCE_BYTES else None,
        )
    finally:
        request_context.request_id.reset(token)
    headers = [
        *default_headers,
        *response.raw_headers,
        (b"x-request-id", request_id.encode()),
        (b"connection", b"close"),
    ]
    status_line = f"HTTP/1.1 {error.status} {http.HTTPStatus(error.status).phrase}\r\n".encode()
    lines = [name + b": " + value + b"\r\n" for name, value in headers]
    return b"".join([status_line, *lines, b"\r\n", bytes(response.body)])
