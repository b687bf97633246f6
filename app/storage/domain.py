"""Registration of the storage journal."""

from __future__ import annotations

from functools import partial

from app.database.engine import Database
from app.domain import Domain
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services
from app.storage import Storage
from app.storage.journal import JournalRow, work_off


async def _start(services: Services) -> None:
    await services.get(Storage).start()


def _tasks(services: Services) -> list[PeriodicTask]:
    return [PeriodicTask(partial(work_off, services.get(Database), services.get(Storage)), 60)]


DOMAIN = Domain(name="storage", tables=(JournalRow,), start=_start, tasks=_tasks)
