"""Registration of job events and their log."""

from __future__ import annotations

from functools import partial

from app.database.engine import Database
from app.database.notifications import Notifications
from app.domain import Domain
from app.events import partitions
from app.events.broadcaster import Hub
from app.events.models import JobEventRow, NodeStateRow
from app.jobs.log_position import JobHeads
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services


def _build(services: Services) -> list[object]:
    db = services.get(Database)
    return [Hub(db, services.get(Notifications), JobHeads(db))]


async def _start(services: Services) -> None:
    await partitions.make_partitions(services.get(Database))


async def _stop(services: Services) -> None:
    await services.get(Hub).close()


def _tasks(services: Services) -> list[PeriodicTask]:
    return [
        PeriodicTask(services.get(Hub).poll, 0.1),
        PeriodicTask(partial(partitions.make_partitions, services.get(Database)), 3600),
    ]


DOMAIN = Domain(
    name="events",
    tables=(JobEventRow, NodeStateRow),
    build=_build,
    start=_start,
    stop=_stop,
    tasks=_tasks,
)
