"""Client for S3 operations that the SDKs do not offer as public interfaces.

obstore hides its multipart uploads, and minio has them and CORS rules only as private methods. The
protocol is stable, and needs six requests with their XML.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from xml.etree.ElementTree import Element, ParseError, fromstring

import anyio
import anyio.to_thread
import urllib3

from app.storage.errors import MISSING, ObjectMissing, Refused, StorageUnavailable, first_line
from app.storage.presign import Signer

logger = logging.getLogger(__name__)

THREADS = 16
EXPIRES_S = 900
_REFUSED = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "EntityTooLarge"})
_SERVER_ERROR = 500
_BAD_REQUEST = 400

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """Response of S3.

    Attributes:
        doing: The operation, for the log.
        status: The HTTP status.
        code: The error code; empty for a success.
        root: The XML of the body, if there is any.
    """

    doing: str
    status: int
    code: str
    root: Element | None

    def checked(self) -> Element | None:
        """Return the XML of a successful response.

        Raises:
            ObjectMissing: The object or the upload does not exist.
            Refused: Storage cannot complete an object from the parts.
            StorageUnavailable: The request failed for another reason.
        """
        if not self.code:
            return self.root
        if self.code in MISSING:
            raise ObjectMissing(self.doing)
        if self.code in _REFUSED and self.status < _SERVER_ERROR:
            raise Refused(self.code)
        logger.warning("storage failed to %s: %s", self.doing, self.code)
        raise StorageUnavailable


class S3Requests:
    """Signs requests to S3 and sends them in threads, with a limiter."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._http = urllib3.PoolManager(maxsize=THREADS, retries=False)
        self._limiter: anyio.CapacityLimiter | None = None

    async def send(
        self,
        doing: str,
        method: str,
        bucket: str,
        key: str = "",
        *,
        query: Mapping[str, str],
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30,
    ) -> Answer:
        """Send a request and return the response; its status is not checked.

        Args:
            doing: The operation, for the log.
            method: The HTTP method.
            bucket: The name of the bucket.
            key: The key of the object; empty for the bucket itself.
            query: The query parameters, such as `uploads`.
            body: The body of the request.
            headers: Headers to sign and to send.
            timeout_s: The read timeout in seconds.

        Raises:
            StorageUnavailable: Storage cannot be reached.
        """
        url = self._signer.presign(
            method, bucket, key, expires_s=EXPIRES_S, query=query, headers=headers
        )

        def call() -> Answer:
            reply = self._http.request(
                method,
                url,
                body=body,
                headers=dict(headers or {}),
                redirect=False,
                timeout=urllib3.Timeout(connect=5, read=timeout_s),
            )
            return _read(doing, reply.status, reply.data)

        return await self._run(doing, call)

    async def _run(self, doing: str, call: Callable[[], T]) -> T:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(THREADS)
        try:
            return await anyio.to_thread.run_sync(call, limiter=self._limiter)
        except (urllib3.exceptions.HTTPError, ParseError, OSError) as exc:
            logger.warning("storage failed to %s: %s", doing, first_line(exc))
            raise StorageUnavailable from exc


def text_of(element: Element | None, name: str) -> str:
    """Return the text of a child in any namespace; empty if there is no such child."""
    return "" if element is None else element.findtext(f"{{*}}{name}", "").strip()


def _read(doing: str, status: int, data: bytes) -> Answer:
    # The S3 server is trusted, and expat limits the expansion of entities since 2.4.
    root = fromstring(data) if data.strip().startswith(b"<") else None  # noqa: S314
    # A completion can fail after its status 200 has been sent.
    is_error = status >= _BAD_REQUEST or (root is not None and root.tag.endswith("Error"))
    code = (text_of(root, "Code") or str(status)) if is_error else ""
    return Answer(doing, status, code, root)
