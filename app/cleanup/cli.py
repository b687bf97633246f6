"""`python -m app sweep`: one sweep by hand, beside a running service or without one."""

from __future__ import annotations

import sys

from app.cleanup.report import Report
from app.cleanup.sweeper import Sweeper
from app.database.engine import Database
from app.domain import Domains
from app.domains import DOMAINS
from app.embedded.errors import StackError
from app.runtime.services import Services
from app.settings import Settings
from app.storage import Storage

POOL_SIZE = 2


async def run(settings: Settings, *, dry: bool, force: bool) -> None:
    """Sweep once, and print what was done or would be.

    Raises:
        StackError: A sweep is already running, or something could not be done.
    """
    if settings.database_url is None:
        raise RuntimeError("no database: start the embedded one, or set CONTEXT_DATABASE_URL")
    db = Database(settings.database_url, POOL_SIZE)
    await db.open()
    try:
        services = Services(settings, db, Storage(settings), Domains(DOMAINS))
        report = await Sweeper(services).sweep(dry=dry, force=force)
    finally:
        await db.close()
    if report is None:
        raise StackError("another sweep is running: try again when it has ended")
    sys.stdout.write(table(report))
    if report.problems:
        raise StackError("not all could be done:\n  " + "\n  ".join(report.problems))


def table(report: Report) -> str:
    """Return the counts, one a line."""
    width = max(len(str(count)) for count in report.counts.values())
    head = "would be removed or put right" if report.is_dry else "removed or put right"
    lines = [f"{count:>{width}}  {what}" for what, count in report.counts.items()]
    return "\n".join([head, *lines, ""])
