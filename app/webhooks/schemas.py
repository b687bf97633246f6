"""Deliveries as they travel."""

from __future__ import annotations

import asyncpg

from processing_context.wire.webhooks import WebhookAnswer, WebhookDelivery


def delivery_out(row: asyncpg.Record) -> WebhookDelivery:
    """Return the wire form of a delivery."""
    answer = None
    if row["last_attempt_at"] is not None:
        answer = WebhookAnswer(
            time=row["last_attempt_at"],
            status_code=row["last_status_code"],
            body=row["last_body"],
            error=row["last_error"],
        )
    return WebhookDelivery(
        id=row["id"],
        job_id=row["job_id"],
        type=row["type"],
        url=row["url"],
        status=row["status"],
        attempts=row["attempts"],
        next_attempt_at=row["next_attempt_at"],
        last_answer=answer,
        created_at=row["created_at"],
    )
