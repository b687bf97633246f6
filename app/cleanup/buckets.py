"""Comparison of buckets with rows: objects without a row, rows without an object, stale uploads.

An object has an entry in the journal until the transaction that inserts its row. The journal is
therefore read before the rows, so that an object whose row is being inserted does not count as an
orphan.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from app.database.engine import Database
from app.domain import Domains
from app.runtime.cleanup import CleanupPhase, CleanupReport, CleanupStep
from app.runtime.services import Services
from app.settings import Settings
from app.storage import Bucket, Journal, ObjectMissing, Storage, StoredObjects

PAGE = 1000
MAX_DIFFERENCES = 10_000
"""Limit for the orphans and for the losses of one cleanup; the next one finds the others."""
FEW = 100
"""Number of differences that is plausible even if fewer objects have a row."""


def bucket_steps(services: Services, *, force: bool) -> Sequence[CleanupStep]:
    """Return the steps that compare the buckets of all domains with their rows.

    Args:
        services: The settings, the database, the storage and the domains.
        force: Also act on an implausible number of differences.
    """
    comparisons = [
        BucketComparison(services, stored, force=force)
        for stored in services.get(Domains).stored_objects(services)
    ]

    async def abort_uploads(report: CleanupReport) -> None:
        for comparison in comparisons:
            await comparison.abort_uploads(report)

    runs = [abort_uploads, *(comparison.compare for comparison in comparisons)]
    return [CleanupStep(CleanupPhase.BUCKETS, run) for run in runs]


@dataclass(slots=True)
class Differences:
    """Differences between a bucket and its rows.

    Attributes:
        orphans: Keys of objects without a row.
        losses: Keys of rows without an object.
        known: The number of objects with a row.
    """

    orphans: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    known: int = 0

    def is_plausible(self, found: Sequence[str]) -> bool:
        """Return True if crashes can explain the number of differences.

        More differences mean that the bucket belongs to another database.
        """
        return len(found) <= max(FEW, self.known)


class BucketComparison:
    """Compares the objects of one domain with its rows.

    Args:
        services: The settings, the database and the storage.
        stored: The objects of the domain.
        force: Also act on an implausible number of differences.
    """

    def __init__(self, services: Services, stored: StoredObjects, *, force: bool) -> None:
        storage = services.get(Storage)
        self._stored = stored
        self._bucket: Bucket = storage.by_name(stored.bucket)
        self._journal = Journal(services.get(Database), storage, stored.bucket)
        self._grace = timedelta(seconds=services.get(Settings).sweep_grace_s)
        self._force = force

    async def abort_uploads(self, report: CleanupReport) -> None:
        """Abort multipart uploads older than the grace period that no row or journal entry names.

        Raises:
            StorageUnavailable: Storage cannot be reached.
        """
        limit = datetime.now(UTC) - self._grace
        found = [
            upload
            async for upload in self._bucket.uploads.unfinished()
            if self._owns(upload.key) and upload.begun_at < limit
        ]
        aborted = 0
        for first in range(0, len(found), PAGE):
            batch = found[first : first + PAGE]
            in_use = await self._uploading({upload.key for upload in batch})
            for upload in batch:
                if upload.key in in_use:
                    continue
                aborted += 1
                if not report.is_dry:
                    await self._bucket.uploads.abort(upload.key, upload.upload_id)
        report.count("abandoned multipart uploads", aborted)

    async def compare(self, report: CleanupReport) -> None:
        """Delete objects without a row, and handle rows without an object.

        Raises:
            StorageUnavailable: Storage cannot be reached.
        """
        found = await self._find()
        label = self._stored.label
        if self._is_plausible(found, found.orphans):
            report.count(f"objects of {label} without a row", len(found.orphans))
            if not report.is_dry:
                await self._bucket.delete(found.orphans)
        else:
            count = len(found.orphans)
            report.problem(self._implausible(f"{count} objects of {label} have no row"))
        if self._is_plausible(found, found.losses):
            losses = await self._confirm_absent(found.losses)
            lost = len(losses) if report.is_dry else await self._stored.handle_losses(losses)
            report.count(f"lost objects of {label}", lost)
        else:
            report.problem(self._implausible(f"{len(found.losses)} {label} have no object"))

    def _is_plausible(self, found: Differences, keys: Sequence[str]) -> bool:
        return self._force or found.is_plausible(keys)

    def _implausible(self, problem: str) -> str:
        return (
            f"{problem}, and fewer have one, so nothing was changed. If {self._bucket.name} is the "
            "bucket of this database, run: python -m app sweep --force"
        )

    async def _find(self) -> Differences:
        """Return the differences, without objects and rows younger than the grace period."""
        found = Differences()
        limit = datetime.now(UTC) - self._grace
        after = ""
        async for page in self._bucket.pages():
            present = {item.key: item.modified_at for item in page if self._owns(item.key)}
            if not present:
                continue
            known = await self._known(present)
            found.known += len(known)
            found.orphans += [
                key
                for key, modified_at in present.items()
                if key not in known and modified_at < limit
            ]
            last = max(present)
            found.losses += await self._absent(after, last, present)
            after = last
            if max(len(found.orphans), len(found.losses)) > MAX_DIFFERENCES:
                return found
        found.losses += await self._absent(after, None, ())
        return found

    async def _absent(self, after: str, last: str | None, present: Collection[str]) -> list[str]:
        absent: list[str] = []
        async for keys in self._expected(after, last):
            absent += [key for key in keys if key not in present]
            if len(absent) > MAX_DIFFERENCES:
                break
        return absent

    async def _expected(self, after: str, last: str | None) -> AsyncIterator[list[str]]:
        """Yield pages of the keys after `after`, up to `last`, whose objects must exist."""
        for listing in self._stored.listings():
            start = after
            while keys := await listing(after=start, last=last, older_than=self._grace, limit=PAGE):
                yield keys
                if len(keys) < PAGE:
                    break
                start = keys[-1]

    async def _confirm_absent(self, keys: Sequence[str]) -> list[str]:
        """Return the keys that have no object, asked one by one: a listing is not a snapshot."""
        absent: list[str] = []
        for key in keys:
            try:
                await self._bucket.stat(key)
            except ObjectMissing:
                absent.append(key)
        return absent

    def _owns(self, key: str) -> bool:
        return self._stored.key_pattern.fullmatch(key) is not None

    async def _known(self, keys: Collection[str]) -> set[str]:
        journaled = await self._journal.known(keys)
        return journaled | await self._stored.known(keys)

    async def _uploading(self, keys: Collection[str]) -> set[str]:
        journaled = await self._journal.uploading(keys)
        return journaled | await self._stored.uploading(keys)
