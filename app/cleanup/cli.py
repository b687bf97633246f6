"""Command `python -m app sweep`, which runs one cleanup, with or without a running service."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from app.cleanup.sweeper import Sweeper
from app.database.engine import Database
from app.domain import Domain, Domains
from app.runtime.cleanup import CleanupReport
from app.runtime.errors import CommandError
from app.runtime.services import Services
from app.settings import Settings
from app.storage import Storage

POOL_SIZE = 2


async def run(settings: Settings, domains: Sequence[Domain], *, dry: bool, force: bool) -> None:
    """Clean up once, and print the counts.

    Args:
        settings: The settings of the database and the storage.
        domains: The domains to clean up.
        dry: Only count.
        force: Also act on an implausible number of differences between buckets and rows.

    Raises:
        CommandError: A cleanup is already running, or a part of it failed.
    """
    async with open_sweeper(settings, domains) as sweeper:
        report = await sweeper.sweep(dry=dry, force=force)
    if report is None:
        raise CommandError("another sweep is running: run this one when it has ended")
    sys.stdout.write(table(report))
    if report.problems:
        raise CommandError("the sweep is incomplete:\n  " + "\n  ".join(report.problems))


@asynccontextmanager
async def open_sweeper(settings: Settings, domains: Sequence[Domain]) -> AsyncIterator[Sweeper]:
    """Open the database for a sweeper that runs beside the service."""
    if settings.database_url is None:
        raise RuntimeError("no database: start the embedded one, or set CONTEXT_DATABASE_URL")
    db = Database(settings.database_url, POOL_SIZE)
    await db.open()
    try:
        yield Sweeper(Services(settings, db, Storage(settings), Domains(domains)))
    finally:
        await db.close()


def table(report: CleanupReport) -> str:
    """Return the counts as text, one per line."""
    width = max(len(str(count)) for count in report.counts.values())
    head = "would be removed or corrected" if report.is_dry else "removed or corrected"
    lines = [f"{count:>{width}}  {label}" for label, count in report.counts.items()]
    return "\n".join([head, *lines, ""])
