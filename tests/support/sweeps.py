"""Helpers that run the sweeper and check the consistency of rows and objects."""

from __future__ import annotations

import asyncio
from typing import Any

from app.cleanup.cli import open_sweeper
from app.database.engine import Database
from app.domains import DOMAINS
from app.runtime.cleanup import CleanupReport
from app.settings import Settings
from app.users.bootstrap import open_database
from tests.support.assets import s3
from tests.support.services import WAIT_S


async def sweep(
    settings: Settings, *, dry: bool = False, force: bool = False, **changes: Any
) -> dict[str, int]:
    """Run the sweeper without a grace period; return the counts that are not 0."""
    report = await report_of(settings, dry=dry, force=force, **changes)
    assert report.problems == []
    return {what: count for what, count in report.counts.items() if count}


async def report_of(
    settings: Settings, *, dry: bool = False, force: bool = False, **changes: Any
) -> CleanupReport:
    """Run the sweeper; return the report."""
    changed = settings.model_copy(update={"sweep_grace_s": 0, **changes})
    async with open_sweeper(changed, DOMAINS) as sweeper, asyncio.timeout(WAIT_S):
        # None: the service is sweeping at the same time.
        while (report := await sweeper.sweep(dry=dry, force=force)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return report


async def execute(settings: Settings, statement: str, *args: object) -> None:
    """Run a statement on a service's database."""
    async with open_database(settings) as db:
        await db.pool.execute(statement, *args)


async def let_time_pass(settings: Settings) -> None:
    """Make all entries of the storage journal due."""
    await execute(settings, "update storage_journal set due_at = now() - interval '1 s'")


async def assert_nothing_lost_or_stray(settings: Settings) -> None:
    """Check that rows and objects match, and that the totals of users match their assets."""
    async with open_database(settings) as db:
        rows = await db.pool.fetch("select * from assets where version is not null")
        thumbnails = await db.pool.fetch("select key, bytes from asset_thumbnails")
        temp_ids = await db.pool.fetch("select id, size from temp_files where is_stored")
        # Objects with a valid PUT URL are deleted once more when the URL has expired.
        noted = await db.pool.fetchval(
            "select count(*) from storage_journal "
            "where op <> 'delete' or due_at < now() + interval '2 min'"
        )
        wrong = await _wrong_totals(db)
    objects = await asyncio.to_thread(_objects, settings, settings.s3_asset_bucket)
    temp = await asyncio.to_thread(_objects, settings, settings.s3_temp_bucket)
    named = {f"{row['id']}/{row['version']}": row for row in rows}
    ready = {key: row["size"] for key, row in named.items() if row["status"] == "ready"}
    assert {key: size for key, size in objects.items() if key in ready} == ready
    shown = {row["key"]: row["bytes"] for row in thumbnails}
    assert objects.keys() <= named.keys() | shown.keys()
    assert shown.items() <= objects.items()
    assert temp == {row["id"]: row["size"] for row in temp_ids}
    assert noted == 0
    assert wrong == []


async def _wrong_totals(db: Database) -> list[tuple[str, int, int]]:
    rows = await db.pool.fetch(
        "select u.id, (select coalesce(sum(size), 0) from assets where user_id = u.id) as real, "
        "(select coalesce(sum(bytes), 0) from asset_bytes where user_id = u.id) as counted "
        "from users u"
    )
    return [tuple(row) for row in rows if row["real"] != row["counted"]]


def _objects(settings: Settings, bucket: str) -> dict[str, int]:
    found = s3(settings).list_objects(bucket, recursive=True)
    return {str(item.object_name): item.size or 0 for item in found}
