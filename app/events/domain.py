"""Registration of events, and of the tables that jobs, queue and events share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import partial

import asyncpg

from app.database.engine import Database
from app.database.notifications import Notifications
from app.domain import Domain
from app.events import cleanup, partitions, retention
from app.events.broadcaster import Broadcaster
from app.events.event_stream import EventStreams
from app.events.log import EventLog
from app.events.models import JobEventRow, JobRow, LeaseRow, NodeStateRow
from app.events.open_streams import OpenStreams
from app.http.auth import Revocations
from app.runtime.cleanup import CleanupPhase, CleanupReport, CleanupStep
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services
from app.runtime.shutdown import Shutdown
from app.settings import Settings


def _build(services: Services) -> list[object]:
    log = EventLog(services.get(Database))
    broadcaster = Broadcaster(log, services.get(Notifications))
    open_streams = OpenStreams()
    services.get(Revocations).on_token(open_streams.close_token)
    streams = EventStreams(broadcaster, services.get(Shutdown), open_streams)
    return [log, broadcaster, open_streams, streams]


async def _start(services: Services) -> None:
    await partitions.create_partitions(services.get(Database))


async def _stop(services: Services) -> None:
    await services.get(Broadcaster).close()


def _tasks(services: Services) -> list[PeriodicTask]:
    return [
        PeriodicTask(services.get(Broadcaster).poll, 0.1),
        PeriodicTask(partial(partitions.create_partitions, services.get(Database)), 3600),
    ]


async def _drop_old_events(services: Services, report: CleanupReport) -> None:
    """Delete the events older than the retention, day by day, except those of unfinished jobs."""
    db = services.get(Database)
    keep = timedelta(days=services.get(Settings).event_retention_days)
    days = await retention.expired_days(db, keep)
    loose = await retention.expired_loose(db, keep)
    dropped = 0
    try:
        for day in () if report.is_dry else days:
            await retention.drop_day(db, day)
            dropped += 1
        if not report.is_dry:
            await retention.delete_expired_loose(db, keep)
    except asyncpg.LockNotAvailableError:
        report.problem("job_events is locked: old events are kept until the next cleanup")
    report.count("days of events", len(days) if report.is_dry else dropped)
    report.count("events in the default partition", loose)


def _cleanup(services: Services) -> list[CleanupStep]:
    return [CleanupStep(CleanupPhase.RECORDS, partial(_drop_old_events, services))]


async def _job_ends(services: Services, job_ids: Collection[str]) -> Mapping[str, datetime | None]:
    return await cleanup.job_ends(services.get(Database), job_ids)


DOMAIN = Domain(
    name="events",
    tables=(JobRow, LeaseRow, JobEventRow, NodeStateRow),
    build=_build,
    start=_start,
    stop=_stop,
    tasks=_tasks,
    cleanup=_cleanup,
    job_ends=_job_ends,
)
