"""List of the service's domains, each after those that it uses."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import MetaData

from app.assets.domain import DOMAIN as ASSETS
from app.catalogue.domain import DOMAIN as CATALOGUE
from app.cleanup.domain import DOMAIN as CLEANUP
from app.database.tables import Base
from app.domain import Domain
from app.events.domain import DOMAIN as EVENTS
from app.http.idempotency.domain import DOMAIN as IDEMPOTENCY
from app.jobs.domain import DOMAIN as JOBS
from app.operations.domain import DOMAIN as OPERATIONS
from app.queue.domain import DOMAIN as QUEUE
from app.sockets.domain import DOMAIN as SOCKETS
from app.storage.domain import DOMAIN as STORAGE
from app.temp.domain import DOMAIN as TEMP
from app.users.domain import DOMAIN as USERS
from app.webhooks.domain import DOMAIN as WEBHOOKS
from app.workers.domain import DOMAIN as WORKERS
from app.workflows.domain import DOMAIN as WORKFLOWS

DOMAINS: Sequence[Domain] = (
    IDEMPOTENCY,
    STORAGE,
    USERS,
    TEMP,
    ASSETS,
    EVENTS,
    CATALOGUE,
    WORKFLOWS,
    WORKERS,
    WEBHOOKS,
    QUEUE,
    JOBS,
    SOCKETS,
    CLEANUP,
    OPERATIONS,
)


def metadata() -> MetaData:
    """Return the database schema: the tables of all domains."""
    return Base.metadata
