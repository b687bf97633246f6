"""Webhooks of one user's jobs: let them in, look at what became of them, deliver again."""

from __future__ import annotations

from typing import Any

from app.database.engine import Database
from app.outbound import WebhookClient
from app.runtime.encryption import Seal
from app.webhooks import queries
from app.webhooks.dispatcher import Dispatcher
from app.webhooks.errors import DeliveryNotFound
from app.webhooks.schemas import delivery_out
from processing_context.wire.jobs import Webhook
from processing_context.wire.webhooks import WebhookDelivery


class Webhooks:
    """The webhooks of all users; each call names the one it is for."""

    def __init__(
        self, db: Database, client: WebhookClient, seal: Seal, dispatcher: Dispatcher
    ) -> None:
        self._db = db
        self._client = client
        self._seal = seal
        self._dispatcher = dispatcher

    async def accept(self, user_id: str, webhook: Webhook) -> dict[str, Any]:
        """Return the form in which a webhook is kept with its job, its secret sealed.

        Raises:
            UrlNotAllowed: The service does not post there.
        """
        await self._client.check(webhook.url)
        kept = webhook.model_dump(mode="json")
        if webhook.secret is not None:
            kept["secret"] = self._seal.seal(webhook.secret, owner_id=user_id)
        return kept

    async def of_job(self, user_id: str, job_id: str) -> list[WebhookDelivery]:
        """Return the deliveries of a job, newest first."""
        rows = await queries.of_job(self._db.pool, job_id, user_id=user_id)
        return [delivery_out(row) for row in rows]

    async def redeliver(self, user_id: str, job_id: str, delivery_id: str) -> WebhookDelivery:
        """Deliver again, now, whatever became of it before; its id stays the same.

        Raises:
            DeliveryNotFound: The job has none of that id.
        """
        row = await queries.redeliver(self._db.pool, delivery_id, job_id=job_id, user_id=user_id)
        if row is None:
            raise DeliveryNotFound
        self._dispatcher.wake()
        return delivery_out(row)
