"""Interface of a domain that stores objects in a bucket, for the comparison with its rows."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Protocol

from app.storage.storage import BucketName


class KeyListing(Protocol):
    """Lists the keys of objects that have to exist."""

    async def __call__(
        self, *, after: str, last: str | None, older_than: timedelta, limit: int
    ) -> list[str]:
        """Return keys in their order, of rows that have been there for some time.

        Args:
            after: The key before the first one; empty: from the beginning.
            last: The last key that is wanted; None: to the end.
            older_than: The age of the rows.
            limit: How many keys at most.
        """
        ...


class StoredObjects(Protocol):
    """The objects of one domain in a bucket, and the rows that name them.

    An object has an entry in the journal from before it is put until its row is made, so the
    journal is read before the rows.

    Attributes:
        label: The objects, as reports name them.
        bucket: Their bucket.
        key_pattern: Their keys. Objects with other keys are another domain's, or foreign.
    """

    label: str
    bucket: BucketName
    key_pattern: re.Pattern[str]

    async def known(self, keys: Collection[str]) -> set[str]:
        """Return those of the keys that a row names."""
        ...

    async def uploading(self, keys: Collection[str]) -> set[str]:
        """Return those of the keys whose multipart upload may still be completed."""
        ...

    def listings(self) -> Sequence[KeyListing]:
        """Return the listings of the objects that have to exist."""
        ...

    async def handle_losses(self, keys: Sequence[str]) -> int:
        """Correct the rows that name lost objects; return how many."""
        ...
