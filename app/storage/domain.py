"""Registration of the domain of the storage journal."""

from __future__ import annotations

from app.database.engine import Database
from app.domain import Domain
from app.runtime.cleanup import CleanupPhase, CleanupStep
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services
from app.storage import Storage
from app.storage.due_deletions import DueDeletions
from app.storage.models import JournalRow

DELETE_DUE_S = 60


def _build(services: Services) -> list[object]:
    return [DueDeletions(services.get(Database), services.get(Storage))]


async def _start(services: Services) -> None:
    await services.get(Storage).start()


def _tasks(services: Services) -> list[PeriodicTask]:
    return [PeriodicTask(services.get(DueDeletions).process, DELETE_DUE_S)]


def _cleanup(services: Services) -> list[CleanupStep]:
    due = DueDeletions(services.get(Database), services.get(Storage))
    return [CleanupStep(CleanupPhase.RECORDS, due.clean_up)]


DOMAIN = Domain(
    name="storage",
    tables=(JournalRow,),
    build=_build,
    start=_start,
    tasks=_tasks,
    cleanup=_cleanup,
)
