"""Conversion of webhook deliveries to their wire format."""

from __future__ import annotations

from typing import Literal, cast

from app.webhooks.queries import DeliveryRecord
from processing_context.wire.webhooks import WebhookAnswer, WebhookDelivery


def delivery_out(row: DeliveryRecord) -> WebhookDelivery:
    """Return the wire model of a delivery, with the outcome of its last attempt."""
    return WebhookDelivery(
        id=row.id,
        job_id=row.job_id,
        type=row.type,
        url=row.url,
        status=cast("Literal['pending', 'delivered', 'failed']", row.status),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        last_answer=_last_answer(row),
        created_at=row.created_at,
    )


def _last_answer(row: DeliveryRecord) -> WebhookAnswer | None:
    if row.last_attempt_at is None:
        return None
    return WebhookAnswer(
        time=row.last_attempt_at,
        status_code=row.last_status_code,
        body=row.last_body,
        error=row.last_error,
    )
