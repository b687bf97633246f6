"""Bucket set-up and object checksums, which obstore does not offer.

The minio SDK is synchronous: it runs in threads with a limiter.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

import anyio
import anyio.to_thread
import urllib3
from minio import Minio
from minio.commonconfig import ENABLED, Filter
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from minio.lifecycleconfig import (
    AbortIncompleteMultipartUpload,
    Expiration,
    LifecycleConfig,
    Rule,
)

from app.storage.errors import MISSING, ObjectMissing, StorageUnavailable, first_line
from app.storage.s3_requests import S3Requests

logger = logging.getLogger(__name__)

THREADS = 16
ABORT_AFTER_DAYS = 2
_SERVER_ERROR = 500
_AWAY = (urllib3.exceptions.HTTPError, InvalidResponseError, ServerError, MinioException, OSError)
_EXISTS = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stat:
    """Size of an object, and its SHA-256 (hex) and ETag if storage has them."""

    size: int
    sha256: str | None
    etag: str | None


class Admin:
    """Creates buckets and reads object metadata."""

    def __init__(
        self, endpoint: str, requests: S3Requests, *, region: str, access_key: str, secret_key: str
    ) -> None:
        parts = urlsplit(endpoint)
        self._client = Minio(
            parts.netloc,
            access_key,
            secret_key,
            secure=parts.scheme == "https",
            region=region,
            http_client=urllib3.PoolManager(
                maxsize=THREADS, timeout=urllib3.Timeout(connect=5, read=30), retries=False
            ),
        )
        self._requests = requests
        self._limiter: anyio.CapacityLimiter | None = None

    async def _run(self, doing: str, call: Callable[[], T]) -> T:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(THREADS)
        try:
            return await anyio.to_thread.run_sync(call, limiter=self._limiter)
        except S3Error as exc:
            if exc.code in MISSING:
                raise ObjectMissing(doing) from exc
            logger.warning("storage failed to %s: %s", doing, exc.code)
            raise StorageUnavailable from exc
        except _AWAY as exc:
            logger.warning("storage failed to %s: %s", doing, first_line(exc))
            raise StorageUnavailable from exc

    async def stat(self, bucket: str, key: str) -> Stat:
        """Return size and checksum of an object.

        Raises:
            ObjectMissing: The object does not exist.
            StorageUnavailable: Storage cannot be reached.
        """
        found = await self._run(
            "look up an object",
            lambda: self._client.stat_object(
                bucket, key, extra_headers={"x-amz-checksum-mode": "ENABLED"}
            ),
        )
        headers = {name.lower(): value for name, value in (found.metadata or {}).items()}
        checksum = headers.get("x-amz-checksum-sha256", "")
        # The checksum of a multipart object ("…-3") is a checksum of the checksums of its parts.
        is_whole = bool(checksum) and "-" not in checksum
        sha256 = base64.b64decode(checksum).hex() if is_whole else None
        return Stat(size=found.size or 0, sha256=sha256, etag=found.etag)

    async def ensure_bucket(
        self, bucket: str, *, origins: Sequence[str], expire_after_days: int | None
    ) -> None:
        """Create the bucket if it is missing, and set its CORS and lifecycle rules.

        A step that the credentials do not permit or the server does not support is logged and
        skipped, because an administrator may have done it.

        Raises:
            StorageUnavailable: Storage cannot be reached.
        """
        create = partial(self._client.make_bucket, bucket)
        await self._run("create bucket", _tolerant("create bucket", bucket, create))
        await self._set_cors(bucket, origins)
        await self._set_lifecycle(bucket, expire_after_days)

    async def _set_cors(self, bucket: str, origins: Sequence[str]) -> None:
        body = _cors_xml(origins)
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        doing = "set CORS of"
        answer = await self._requests.send(
            doing, "PUT", bucket, query={"cors": ""}, body=body, headers={"Content-MD5": digest}
        )
        if answer.code and not _is_tolerable(doing, bucket, answer.status, answer.code):
            answer.checked()

    async def _set_lifecycle(self, bucket: str, expire_after_days: int | None) -> None:
        """Set the expiry in a call of its own, before all rules.

        MinIO refuses a rule that only ends abandoned uploads, and with it all rules of the call. It
        removes abandoned uploads without a rule, and so does the cleanup of the service.
        """
        expiry = [] if expire_after_days is None else [_expiry(expire_after_days)]
        if expiry:
            await self._set_rules("set the expiry rule of", bucket, expiry)
        doing = "set the rule for abandoned uploads of"
        await self._set_rules(doing, bucket, [*expiry, _abandoned_uploads()], level=logging.INFO)

    async def _set_rules(
        self, doing: str, bucket: str, rules: list[Rule], *, level: int = logging.WARNING
    ) -> None:
        step = partial(self._client.set_bucket_lifecycle, bucket, LifecycleConfig(rules))
        await self._run(doing, _tolerant(doing, bucket, step, level))


def _expiry(days: int) -> Rule:
    return Rule(
        ENABLED,
        rule_filter=Filter(prefix=""),
        rule_id="expired",
        expiration=Expiration(days=days),
    )


def _abandoned_uploads() -> Rule:
    return Rule(
        ENABLED,
        rule_filter=Filter(prefix=""),
        rule_id="abandoned-uploads",
        abort_incomplete_multipart_upload=AbortIncompleteMultipartUpload(ABORT_AFTER_DAYS),
    )


def _tolerant(
    doing: str, bucket: str, step: Callable[[], object], level: int = logging.WARNING
) -> Callable[[], None]:
    def run() -> None:
        try:
            step()
        except S3Error as exc:
            if not _is_tolerable(doing, bucket, exc.response.status, exc.code or "", level):
                raise

    return run


def _is_tolerable(
    doing: str, bucket: str, status: int, code: str, level: int = logging.WARNING
) -> bool:
    """Return True if the service can start in spite of an error of S3; log the error."""
    if status >= _SERVER_ERROR and code != "NotImplemented":
        return False
    if code not in _EXISTS:
        logger.log(level, "cannot %s %s: %s", doing, bucket, code)
    return True


def _cors_xml(origins: Sequence[str]) -> bytes:
    """Return the CORS rules; all origins are safe, as presigned URLs need no cookies."""
    allowed = "".join(f"<AllowedOrigin>{escape(o)}</AllowedOrigin>" for o in origins or ("*",))
    methods = "".join(f"<AllowedMethod>{m}</AllowedMethod>" for m in ("GET", "HEAD", "PUT"))
    exposed = "".join(
        f"<ExposeHeader>{name}</ExposeHeader>"
        for name in ("ETag", "Content-Range", "Accept-Ranges", "Content-Length")
    )
    return (
        f"<CORSConfiguration><CORSRule>{allowed}{methods}<AllowedHeader>*</AllowedHeader>{exposed}"
        "<MaxAgeSeconds>3600</MaxAgeSeconds></CORSRule></CORSConfiguration>"
    ).encode()
