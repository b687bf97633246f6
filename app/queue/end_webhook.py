"""Webhook about the end of a job, enqueued in the transaction that ends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.database.statement import Connection
from app.events.schemas import summary_out
from app.queue import job_queries
from app.webhooks import service as webhooks
from processing_context.wire.webhooks import WebhookMessage

_OMITTED = {"params", "graph"}
"""Fields of the job that the message leaves out: the caller sent them, and they may be large."""


async def enqueue_end_webhook(on: Connection, job_id: str, webhook: Mapping[str, Any]) -> bool:
    """Enqueue the message about the end of a job; return False if its webhook excludes this event.

    Args:
        on: The connection of the transaction.
        job_id: The job that has ended in this transaction.
        webhook: The webhook in the form that is stored with the job.
    """
    job, result = await job_queries.with_result(on, job_id)
    if job.status not in webhook["events"] or job.finished_at is None:
        return False
    ended = summary_out(job).model_copy(update={"result": result})
    message = WebhookMessage.model_validate(
        {"type": f"job.{ended.status}", "timestamp": ended.finished_at, "data": ended}
    )
    await webhooks.enqueue(
        on,
        webhook,
        user_id=ended.user_id,
        job_id=ended.id,
        type_=message.type,
        body=message.model_dump_json(exclude={"data": _OMITTED}),
        now=job.finished_at,
    )
    return True
