"""Registration of the domain of the cleanup."""

from __future__ import annotations

from app.cleanup.sweeper import Sweeper
from app.domain import Domain
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services
from app.settings import Settings

FIRST_SWEEP_S = 600


def _build(services: Services) -> list[object]:
    return [Sweeper(services)]


def _tasks(services: Services) -> list[PeriodicTask]:
    interval_s = services.get(Settings).sweep_interval_s
    # Not directly at start: a sweep lists all objects.
    first_s = min(FIRST_SWEEP_S, interval_s)
    return [PeriodicTask(services.get(Sweeper).run, interval_s, first_s)]


DOMAIN = Domain(name="cleanup", build=_build, tasks=_tasks)
