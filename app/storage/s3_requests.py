"""S3 operations that no public interface of an SDK offers: signed here, sent in threads.

obstore hides its multipart uploads, and minio has them as private methods only, while the protocol
itself is stable: five requests and their XML.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
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


class Calls:
    """Sends requests to S3; a slow one keeps nobody waiting but its caller."""

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
    ) -> Element | None:
        """Return the answer's XML, or None where it has none.

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
            ObjectMissing: There is no such object or upload.
            Refused: Storage says that the parts make no object.
            StorageUnavailable: It does not answer, or fails.
        """
        url = self._signer.presign(
            method, bucket, key, expires_s=EXPIRES_S, query=query, headers=headers
        )

        def call() -> Element | None:
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


def _read(doing: str, status: int, data: bytes) -> Element | None:
    # The server is ours, and expat has limited the growth of entities since 2.4.
    answer = fromstring(data) if data.strip().startswith(b"<") else None  # noqa: S314
    code = ""
    # A completion may turn out to have failed after its status was sent.
    if status >= _BAD_REQUEST or (answer is not None and answer.tag.endswith("Error")):
        code = text_of(answer, "Code") or str(status)
    if not code:
        return answer
    if code in MISSING:
        raise ObjectMissing(doing)
    if code in _REFUSED and status < _SERVER_ERROR:
        raise Refused(code)
    logger.warning("storage failed to %s: %s", doing, code)
    raise StorageUnavailable
