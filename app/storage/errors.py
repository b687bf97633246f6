"""Errors of the storage. Messages of the S3 server are logged, but not sent in responses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from app.http.problems import Unavailable

logger = logging.getLogger(__name__)

MISSING = frozenset({"NoSuchKey", "NoSuchObject", "NotFound", "NoSuchUpload"})
"""Error codes of S3 for a missing object or multipart upload."""


class StorageUnavailable(Unavailable):
    """S3 cannot be reached, or it failed."""

    code = "storage_unavailable"
    detail = "The storage cannot be reached: retry after the time in Retry-After."


class UploadInterrupted(StorageUnavailable):
    """The journal entry of an upload became due before its row was inserted."""

    detail = "The upload was interrupted for too long, and its bytes were deleted: send it again."


class UploadsBusy(Unavailable):
    """The limit for concurrent streamed uploads is reached."""

    code = "uploads_busy"
    detail = (
        "Too many concurrent uploads: retry after the time in Retry-After, or reserve the upload "
        "with POST /v1/assets/uploads."
    )


class ObjectMissing(Exception):
    """The object or the multipart upload does not exist."""


class Refused(Exception):
    """Storage cannot complete an object from the given parts; the text is the error code of S3."""


@contextmanager
def mapped(doing: str, *, may_miss: bool = False) -> Iterator[None]:
    """Convert errors of obstore, and log their messages.

    Args:
        doing: The operation, for the log.
        may_miss: Convert "not found" to `ObjectMissing`; otherwise it means that the bucket is
            missing, which is `StorageUnavailable`.
    """
    try:
        yield
    except FileNotFoundError as exc:
        if may_miss:
            raise ObjectMissing(doing) from exc
        logger.error("storage failed to %s: the bucket does not exist", doing)
        raise StorageUnavailable from exc
    except (BaseError, OSError) as exc:
        logger.warning("storage failed to %s: %s", doing, first_line(exc))
        raise StorageUnavailable from exc


def first_line(exc: BaseException) -> str:
    """Return the first line of an error message, at most 500 characters."""
    return (str(exc).splitlines() or [type(exc).__name__])[0][:500]
