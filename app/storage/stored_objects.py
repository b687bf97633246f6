"""Interface of a domain's stored objects, for comparing a bucket with rows."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Protocol

from app.storage.storage import BucketName


class KeyListing(Protocol):
    """Function that lists the keys of objects that must exist."""

    async def __call__(
        self, *, after: str, last: str | None, older_than: timedelta, limit: int
    ) -> list[str]:
        """Return keys in their order.

        Args:
            after: The exclusive lower limit of keys; empty for the first page.
            last: The inclusive upper limit of keys; None for no limit.
            older_than: The minimum age of the rows.
            limit: The maximum number of keys.
        """
        ...


class StoredObjects(Protocol):
    """Objects of one domain in a bucket, and the rows that name them.

    An object has a journal entry until its row is inserted, so the journal must be read before the
    rows.

    Attributes:
        label: The label of the objects in reports.
        bucket: The bucket of the objects.
        key_pattern: The pattern of their keys; other objects are ignored.
    """

    label: str
    bucket: BucketName
    key_pattern: re.Pattern[str]

    async def known(self, keys: Collection[str]) -> set[str]:
        """Return the keys that belong to a row."""
        ...

    async def uploading(self, keys: Collection[str]) -> set[str]:
        """Return the keys whose multipart upload may still be completed."""
        ...

    def listings(self) -> Sequence[KeyListing]:
        """Return functions that list the keys of objects that must exist."""
        ...

    async def handle_losses(self, keys: Sequence[str]) -> int:
        """Correct the rows of lost objects; return the number of losses."""
        ...
