"""S3 operations that no public interface of an SDK offers: signed here, sent in threads.

obstore hides its multipart uploads, and minio has these and CORS rules as private methods only,
while the protocol itself is stable: six requests and their XML.
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
    """Response of S3: its XML, if it has any, and its error code, empty for a success."""

    doing: str
    status: int
    code: str
    root: Element | None

    def checked(self) -> Element | None:
        """Return the XML, if the request succeeded.

        Raises:
            ObjectMissing: There is no such object or upload.
            Refused: Storage says that the parts make no object.
            StorageUnavailable: It fails.
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
    """Signs requests to S3 and sends them in threads; a slow one delays only its caller."""

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
        """Send a request and return the response, whatever its status.

        Args:
            doing: What it is for, for the log.
            method: The HTTP method.
            bucket: The bucket.
            key: The object; empty: the bucket itself.
            query: What is asked, such as `uploads`.
            body: What is sent.
            headers: Sent with it, and signed.
            timeout_s: How long storage may be silent.

        Raises:
            StorageUnavailable: It does not answer.
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
    """Return the text of a child, whatever its namespace; empty where there is none."""
    return "" if element is None else element.findtext(f"{{*}}{name}", "").strip()


def _read(doing: str, status: int, data: bytes) -> Answer:
    # The server is ours, and expat has limited the growth of entities since 2.4.
    root = fromstring(data) if data.strip().startswith(b"<") else None  # noqa: S314
    # A completion may turn out to have failed after its status was sent.
    is_error = status >= _BAD_REQUEST or (root is not None and root.tag.endswith("Error"))
    code = (text_of(root, "Code") or str(status)) if is_error else ""
    return Answer(doing, status, code, root)
