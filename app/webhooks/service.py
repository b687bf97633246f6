"""Service for webhooks: validation, enqueueing of messages, and redelivery."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx2

from app.database.engine import Database
from app.database.statement import Connection
from app.outbound import WebhookClient
from app.runtime.encryption import Encryption
from app.runtime.ids import new_id
from app.webhooks import queries
from app.webhooks.dispatcher import WebhookDispatcher
from app.webhooks.errors import DeliveryNotFound
from app.webhooks.schemas import delivery_out
from processing_context.wire.jobs import Webhook
from processing_context.wire.webhooks import WebhookDelivery


class WebhookService:
    """Webhooks of all users; each call names the user that it acts for."""

    def __init__(
        self,
        db: Database,
        client: WebhookClient,
        encryption: Encryption,
        dispatcher: WebhookDispatcher,
    ) -> None:
        self._db = db
        self._client = client
        self._encryption = encryption
        self._dispatcher = dispatcher

    async def accept(self, user_id: str, webhook: Webhook) -> dict[str, Any]:
        """Validate a webhook; return the form that is stored with its job, the secret encrypted.

        Raises:
            UrlNotAllowed: The service does not post to this URL.
        """
        await self._client.check(webhook.url)
        stored = webhook.model_dump(mode="json")
        if webhook.secret is not None:
            stored["secret"] = self._encryption.encrypt(webhook.secret, owner_id=user_id)
        return stored

    async def of_job(self, user_id: str, job_id: str) -> list[WebhookDelivery]:
        """Return the deliveries of a job, newest first."""
        found = await queries.of_job(self._db.pool, job_id, user_id=user_id)
        return [delivery_out(delivery) for delivery in found]

    async def redeliver(self, user_id: str, job_id: str, delivery_id: str) -> WebhookDelivery:
        """Deliver a message again now, regardless of its outcome, with the same id.

        Raises:
            DeliveryNotFound: The job has no delivery with this id.
        """
        delivery = await queries.redeliver(
            self._db.pool, delivery_id, job_id=job_id, user_id=user_id
        )
        if delivery is None:
            raise DeliveryNotFound(delivery_id)
        self._dispatcher.wake()
        return delivery_out(delivery)

    def wake_dispatcher(self) -> None:
        """Start due deliveries; to be called after the commit of the transaction of `enqueue`."""
        self._dispatcher.wake()


async def enqueue(
    on: Connection,
    webhook: Mapping[str, Any],
    *,
    user_id: str,
    job_id: str,
    type_: str,
    body: str,
    now: datetime,
) -> None:
    """Insert a delivery to a webhook, in the transaction of the event that it reports.

    So no message is lost, and none reports an event that was rolled back.

    Args:
        on: The connection of the transaction.
        webhook: The webhook in the form that `WebhookService.accept` returned.
        user_id: The owner of the job.
        job_id: The job.
        type_: The type of the message.
        body: The message as JSON.
        now: The time of the event.
    """
    url = httpx2.URL(webhook["url"])
    await queries.insert(
        on,
        new_id(),
        user_id=user_id,
        job_id=job_id,
        type_=type_,
        url=webhook["url"],
        receiver=f"{url.scheme}://{url.netloc.decode('ascii')}",
        secret=webhook["secret"],
        body=body,
        now=now,
    )
