"""Everything that this package raises on purpose, as one tree.

    ContextError
    ├── APIError                    the service answered with an error
    │   ├── ValidationError         400, 422
    │   ├── AuthenticationError     401
    │   ├── PermissionDeniedError   403, quotas included
    │   ├── NotFoundError           404, 410
    │   ├── ConflictError           409, 412
    │   ├── TooLargeError           413
    │   ├── RateLimitedError        429
    │   └── UnavailableError        502, 503, 504
    ├── ConnectionFailedError       no answer at all, retries included
    ├── HTTPStatusError             another server (storage, any URL) answered with an error
    ├── JobFailedError
    ├── JobCancelledError
    ├── MissingDependencyError      also an ImportError
    └── UnsafeFileError             also a ValueError

Wrong arguments are a plain `ValueError`. The cause of a `JobFailedError` is a `RemoteTraceback`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from processing_context.wire.jobs import Job


class ContextError(Exception):
    """Base class of the errors of this package.

    Attributes:
        started: The jobs that `start_jobs` had queued when it failed.
    """

    started: Sequence[Job] = ()


class APIError(ContextError):
    """The service responded with an error.

    Attributes:
        status: The HTTP status.
        code: Stable problem code, such as `asset_not_found`.
        detail: Explanation for people.
        request_id: Id of the request in the service's log.
        errors: Errors of individual fields, if the service lists them.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        request_id: str | None = None,
        errors: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(status, code, detail, request_id, errors)
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.errors = errors or []

    def __str__(self) -> str:
        """Return the detail, then status, code and request id."""
        request = f", request {self.request_id}" if self.request_id else ""
        return f"{self.detail} ({self.status} {self.code}{request})"


class ValidationError(APIError):
    """400 or 422: the request is invalid."""


class AuthenticationError(APIError):
    """401: the token is missing, unknown, revoked or expired."""


class PermissionDeniedError(APIError):
    """403: the token has no right to do this, or a quota is exhausted."""


class NotFoundError(APIError):
    """404 or 410: the object does not exist (any more), or belongs to another user."""


class ConflictError(APIError):
    """409 or 412: the state of the object does not allow the request."""


class TooLargeError(APIError):
    """413: the request or file exceeds a size limit."""


class RateLimitedError(APIError):
    """429: too many requests, after all retries."""


class UnavailableError(APIError):
    """502, 503 or 504: the service is unavailable, after all retries."""


class ConnectionFailedError(ContextError):
    """The service or storage could not be reached or did not respond, after all retries."""


class HTTPStatusError(ContextError):
    """A server other than the service responded with a status of 400 or more.

    Attributes:
        status: The HTTP status.
        url: The URL, without its query, which may hold a signature.
        detail: Explanation of the server, if any.
    """

    def __init__(self, status: int, url: str, detail: str = "") -> None:
        super().__init__(status, url, detail)
        self.status = status
        self.url = url
        self.detail = detail

    def __str__(self) -> str:
        """Return status, URL and the explanation of the server."""
        text = f": {self.detail}" if self.detail else ""
        return f"{self.status} from {self.url}{text}"


class _JobEndedError(ContextError):
    def __init__(self, message: str, job: Job) -> None:
        super().__init__(message, job)
        self.job = job

    def __str__(self) -> str:
        return str(self.args[0])


class JobFailedError(_JobEndedError):
    """A job failed; the text holds its error message, `job` holds the job.

    The `__cause__` is a `RemoteTraceback` if the worker sent one, so that Python prints it.
    """


class RemoteTraceback(Exception):
    """Traceback of a node that failed on a worker, as text."""

    def __str__(self) -> str:
        """Return the traceback, set off from the local one."""
        return f'\n"""\n{str(self.args[0]).rstrip()}\n"""'


class JobCancelledError(_JobEndedError):
    """A job was cancelled; `job` holds it."""


class MissingDependencyError(ContextError, ImportError):
    """A package of an extra is not installed; the text names the command that installs it."""


class UnsafeFileError(ContextError, ValueError):
    """Loading the file could run code that it contains."""


_BY_STATUS: dict[int, type[APIError]] = {
    400: ValidationError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    410: NotFoundError,
    412: ConflictError,
    413: TooLargeError,
    422: ValidationError,
    429: RateLimitedError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}


def from_problem(problem: dict[str, Any], *, request_id: str | None = None) -> APIError:
    """Return the error for a problem document (RFC 9457)."""
    status = int(problem.get("status", 500))
    return _BY_STATUS.get(status, APIError)(
        status,
        str(problem.get("code") or "unknown"),
        str(problem.get("detail") or problem.get("title") or "the service gave no detail"),
        problem.get("request_id") or request_id,
        problem.get("errors"),
    )


def from_body(status: int, body: bytes, *, request_id: str | None = None) -> APIError:
    """Return the error for a response, which may come from a proxy and have no problem document."""
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        text = body[:200].decode("utf-8", "replace").strip()
        problem = {"detail": text or "the response is empty"}
    return from_problem(problem | {"status": status}, request_id=request_id)
