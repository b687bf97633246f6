"""Registration of webhooks."""

from __future__ import annotations

from datetime import timedelta

from app.database.engine import Database
from app.domain import Domain
from app.outbound import WebhookClient
from app.runtime.cleanup import CleanupPhase, CleanupStep, deletion
from app.runtime.encryption import Encryption
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services
from app.settings import Settings
from app.webhooks import queries, routes
from app.webhooks.delivery import DeliverySender
from app.webhooks.dispatcher import WebhookDispatcher
from app.webhooks.models import DeliveryRow
from app.webhooks.service import WebhookService


def _build(services: Services) -> list[object]:
    settings, db, client = (
        services.get(Settings),
        services.get(Database),
        services.get(WebhookClient),
    )
    if settings.secret_key is None:
        raise ValueError("no secret key: start the embedded stack, or set CONTEXT_SECRET_KEY")
    encryption = Encryption(settings.secret_key.get_secret_value(), purpose="webhook secrets")
    dispatcher = WebhookDispatcher(db, DeliverySender(client, encryption), settings)
    return [dispatcher, WebhookService(db, client, encryption, dispatcher)]


async def _stop(services: Services) -> None:
    await services.get(WebhookDispatcher).close()


def _tasks(services: Services) -> list[PeriodicTask]:
    return [PeriodicTask(services.get(WebhookDispatcher).run, 0)]


def _cleanup(services: Services) -> list[CleanupStep]:
    db = services.get(Database)
    # Deliveries have the same retention as events.
    older_than = timedelta(days=services.get(Settings).event_retention_days)
    return [
        deletion(
            CleanupPhase.RECORDS,
            "expired webhook deliveries",
            count=lambda: queries.count_old(db.pool, older_than),
            delete=lambda limit: queries.delete_old(db.pool, older_than, limit=limit),
        )
    ]


DOMAIN = Domain(
    name="webhooks",
    webhooks=(routes.messages,),
    tables=(DeliveryRow,),
    build=_build,
    stop=_stop,
    cleanup=_cleanup,
    tasks=_tasks,
)
