"""What can go wrong with storage; nothing of the server's own words reaches an answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from app.http.problems import Unavailable

logger = logging.getLogger(__name__)

MISSING = frozenset({"NoSuchKey", "NoSuchObject", "NotFound", "NoSuchUpload"})
"""S3's codes for an object or an upload that is not there."""


class StorageUnavailable(Unavailable):
    """S3 cannot be reached, or fails."""

    code = "storage_unavailable"
    detail = "The storage does not answer."


class UploadInterrupted(StorageUnavailable):
    """What was announced fell due before it had a row, and was deleted."""

    detail = "The upload was interrupted for too long: send it again."


class UploadsBusy(Unavailable):
    """As many bytes come through the service as it has memory for."""

    code = "uploads_busy"
    detail = "Too many uploads at once: try again, or reserve one with POST /v1/assets/uploads."


class ObjectMissing(Exception):
    """There is no object of this key, or no such upload."""


class Refused(Exception):
    """Storage will not make an object of these parts; the text is S3's code."""


@contextmanager
def mapped(doing: str, *, may_miss: bool = False) -> Iterator[None]:
    """Turn obstore's errors into ours; what they say goes to the log.

    Args:
        doing: What failed, for the log.
        may_miss: Whether "not found" means that the object is; else it means that the bucket is.
    """
    try:
        yield
    except FileNotFoundError as exc:
        if may_miss:
            raise ObjectMissing(doing) from exc
        logger.error("storage failed to %s: the bucket is gone", doing)
        raise StorageUnavailable from exc
    except (BaseError, OSError) as exc:
        logger.warning("storage failed to %s: %s", doing, first_line(exc))
        raise StorageUnavailable from exc


def first_line(exc: BaseException) -> str:
    """Return the beginning of an error's text, which may go on for pages."""
    return (str(exc).splitlines() or [type(exc).__name__])[0][:500]
