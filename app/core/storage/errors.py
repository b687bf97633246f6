"""What can go wrong with storage; nothing of the server's own words reaches an answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from app.core.errors import Unavailable

logger = logging.getLogger(__name__)


class StorageUnavailable(Unavailable):
    """S3 cannot be reached, or fails."""

    code = "storage_unavailable"
    detail = "The storage does not answer."


class ObjectMissing(Exception):
    """There is no object of this key."""


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
