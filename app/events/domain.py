"""Registration of job events and their log, and of the tables of the whole engine."""

from __future__ import annotations

from functools import partial

from app.database.engine import Database
from app.database.notifications import Notifications
from app.domain import Domain
from app.events import partitions
from app.events.broadcaster import Broadcaster
from app.events.event_stream import EventStreams
from app.events.log import EventLog
from app.events.models import JobEventRow, JobRow, LeaseRow, NodeStateRow
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services
from app.runtime.shutdown import Shutdown


def _build(services: Services) -> list[object]:
    log = EventLog(services.get(Database))
    broadcaster = Broadcaster(log, services.get(Notifications))
    return [log, broadcaster, EventStreams(broadcaster, services.get(Shutdown))]


async def _start(services: Services) -> None:
    await partitions.create_partitions(services.get(Database))


async def _stop(services: Services) -> None:
    await services.get(Broadcaster).close()


def _tasks(services: Services) -> list[PeriodicTask]:
    return [
        PeriodicTask(services.get(Broadcaster).poll, 0.1),
        PeriodicTask(partial(partitions.create_partitions, services.get(Database)), 3600),
    ]


DOMAIN = Domain(
    name="events",
    tables=(JobRow, LeaseRow, JobEventRow, NodeStateRow),
    build=_build,
    start=_start,
    stop=_stop,
    tasks=_tasks,
)
