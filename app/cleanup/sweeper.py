"""A sweep: all that can be left behind, one kind after the other, by one replica at a time.

Nothing in it depends on being alone: a replica that lost its connection, and the lock with it, does
no harm while it ends.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg

from app.assets import cleanup as assets
from app.cleanup import buckets, user_deletion
from app.cleanup.report import Report
from app.database.engine import Database
from app.events import cleanup as events
from app.events import retention
from app.runtime.services import Services
from app.settings import Settings
from app.storage import Storage, StorageUnavailable, journal
from app.storage.journal import BucketName
from app.temp import cleanup as temp
from app.webhooks import cleanup as webhooks

logger = logging.getLogger(__name__)

LOCK_ID = 7103452673
BATCH = 500
USERS_AT_ONCE = 100
DAY = timedelta(days=1)
LABELS = {"assets": "assets", "temp": "temporary files"}


class Sweeper:
    """Sweeps one database and its buckets."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def run(self) -> None:
        """Sweep, unless another replica does; tell the log what was found."""
        report = await self.sweep()
        if report is not None and report.did_something:
            found = ", ".join(f"{count} {what}" for what, count in report.counts.items() if count)
            logger.info("swept: %s", found)

    async def sweep(self, *, dry: bool = False, force: bool = False) -> Report | None:
        """Sweep once; None: another one is at it.

        Args:
            dry: Only say what would be done.
            force: Believe that most of a bucket has no row, or most rows no object.
        """
        async with _only_one(self._services.get(Database)) as is_ours:
            if not is_ours:
                return None
            return await _Sweep(self._services, dry, force).run()


class _Sweep:
    """One of them."""

    def __init__(self, services: Services, dry: bool, force: bool) -> None:
        settings = services.get(Settings)
        self._services = services
        self._db = services.get(Database)
        self._storage = services.get(Storage)
        self._grace = timedelta(seconds=settings.sweep_grace_s)
        self._upload_ttl = timedelta(seconds=settings.abandoned_upload_s)
        self._interval = timedelta(seconds=settings.sweep_interval_s)
        self._keep_events = timedelta(days=settings.event_retention_days)
        self._dry = dry
        self._force = force
        self._report = Report(is_dry=dry)

    async def run(self) -> Report:
        # Users, events and uploads first: what becomes of their objects is seen by the later ones.
        steps: tuple[Callable[[], Awaitable[None]], ...] = (
            self._work_off_journal,
            self._remove_deleted_users,
            self._drop_old_events,
            self._remove_old_deliveries,
            self._keep_files_of_jobs,
            self._remove_expired,
            self._give_up_uploads,
            self._abort_uploads,
            self._compare_assets,
            self._compare_temp,
            self._recount,
        )
        for step in steps:
            try:
                await step()
            except StorageUnavailable:
                self._problem("storage does not answer: the rest is for the next sweep")
            except asyncpg.ForeignKeyViolationError as exc:
                self._problem(f"{exc.table_name}: still in use, left for the next sweep")
        return self._report

    async def _work_off_journal(self) -> None:
        due = await journal.count_due(self._db)
        if not self._dry:
            due = await journal.work_off(self._db, self._storage)
        self._report.count("objects whose deletion was due", due)

    async def _remove_deleted_users(self) -> None:
        self._report.count("deleted users", 0)
        async for user_id in user_deletion.deleted(self._db, self._grace):
            if self._dry:
                self._report.count("deleted users", 1)
            else:
                await user_deletion.remove(self._services, user_id, self._report.count)

    async def _drop_old_events(self) -> None:
        """Drop the days of events that are over for so long, but nothing of unfinished jobs."""
        days = await retention.expired_days(self._db, self._keep_events)
        loose = await retention.expired_loose(self._db, self._keep_events)
        dropped = 0
        try:
            for day in () if self._dry else days:
                await retention.drop_day(self._db, day)
                dropped += 1
            if not self._dry:
                await retention.delete_expired_loose(self._db, self._keep_events)
        except asyncpg.LockNotAvailableError:
            self._problem("job_events is in use: old events are left for the next sweep")
        self._report.count("days of events", len(days) if self._dry else dropped)
        self._report.count("events without a day of their own", loose)

    async def _remove_old_deliveries(self) -> None:
        if self._dry:
            removed = await webhooks.count_old(self._db, self._keep_events)
        else:
            removed = await _until_none(
                lambda: webhooks.remove_old(self._db, self._keep_events, limit=BATCH)
            )
        self._report.count("webhook deliveries whose time is over", removed)

    async def _keep_files_of_jobs(self) -> None:
        """Let files of jobs go when their jobs' events have gone, and not before."""
        margin = max(DAY, 2 * self._interval)
        kept, ended, after = 0, 0, ""
        while files := await temp.of_jobs(
            self._db, after=after, older_than=self._grace, limit=BATCH
        ):
            living = await events.with_events(self._db, {file.job_id for file in files})
            needed = [file.id for file in files if file.job_id in living]
            kept += await temp.keep(self._db, needed, margin=margin, dry=self._dry)
            orphans = [file.id for file in files if file.job_id not in living]
            ended += len(orphans)
            if orphans and not self._dry:
                await temp.expire(self._db, orphans)
            after = files[-1].id
        self._report.count("temporary files kept for their jobs", kept)
        self._report.count("temporary files whose jobs are gone", ended)

    async def _remove_expired(self) -> None:
        if self._dry:
            removed = await temp.count_expired(self._db)
        else:
            removed = await _until_none(
                lambda: temp.remove_expired(self._db, self._storage, limit=BATCH)
            )
        self._report.count("temporary files that have expired", removed)

    async def _give_up_uploads(self) -> None:
        older_than = self._upload_ttl
        if self._dry:
            given_up = await assets.count_abandoned(self._db, older_than=older_than)
        else:
            given_up = await _until_none(
                lambda: assets.give_up(self._db, self._storage, older_than=older_than, limit=BATCH)
            )
        self._report.count("reserved uploads that nobody finished", given_up)

    async def _abort_uploads(self) -> None:
        for bucket in ("assets", "temp"):
            rows = buckets.Rows(self._db, self._storage, bucket)
            aborted = await buckets.abort_uploads(
                self._storage.by_name(bucket), rows, self._grace, dry=self._dry
            )
            self._report.count("multipart uploads of nobody", aborted)

    async def _compare_assets(self) -> None:
        await self._compare("assets")

    async def _compare_temp(self) -> None:
        await self._compare("temp")

    async def _compare(self, bucket: BucketName) -> None:
        rows = buckets.Rows(self._db, self._storage, bucket)
        objects = self._storage.by_name(bucket)
        found = await buckets.compare(objects, rows, self._grace)
        label = LABELS[bucket]
        if not self._force and not found.is_plausible(found.strays):
            self._implausible(f"{len(found.strays)} objects of {label} have no row", objects.name)
        else:
            self._report.count(f"objects of {label} without a row", len(found.strays))
            if not self._dry:
                await objects.delete(found.strays)
        if not self._force and not found.is_plausible(found.losses):
            self._implausible(f"{len(found.losses)} {label} have no object", objects.name)
            return
        losses = await buckets.really_absent(objects, found.losses)
        count = len(losses) if self._dry else await rows.lose(losses)
        self._report.count(f"lost objects of {label}", count)

    async def _recount(self) -> None:
        wrong = 0
        after: str | None = ""
        while after is not None:
            more, after = await assets.recount(
                self._db, after=after, limit=USERS_AT_ONCE, dry=self._dry
            )
            wrong += more
        self._report.count("wrong counts of a user's bytes", wrong)

    def _implausible(self, what: str, bucket: str) -> None:
        self._problem(
            f"{what}, and fewer have one: left alone. Is {bucket} the bucket of this database? "
            "If so: python -m app sweep --force"
        )

    def _problem(self, problem: str) -> None:
        logger.error("sweep: %s", problem)
        self._report.problems.append(problem)


async def _until_none(some: Callable[[], Awaitable[int]]) -> int:
    total = 0
    while count := await some():
        total += count
    return total


@asynccontextmanager
async def _only_one(db: Database) -> AsyncIterator[bool]:
    """Hold the lock on a connection of its own: it ends with the process."""
    connection = await db.connect()
    try:
        is_ours = await connection.fetchval("select pg_try_advisory_lock($1)", LOCK_ID)
        yield bool(is_ours)
        if is_ours:
            await connection.execute("select pg_advisory_unlock($1)", LOCK_ID)
    finally:
        connection.terminate()
