"""The end of a job, told to its webhook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg

from app.database.statement import Connection
from app.jobs import queries
from app.jobs.schemas import summary_out
from app.webhooks import service as webhooks
from processing_context.wire.webhooks import WebhookMessage

NOT_TOLD = {"params", "graph"}
"""What the caller sent himself, however large it is."""


async def tell_end(on: Connection, job: asyncpg.Record, webhook: Mapping[str, Any]) -> bool:
    """Write down what has to be told of a job that ends in this transaction; whether there is any.

    Args:
        on: The connection of the transaction.
        job: The state that the job was locked in.
        webhook: What is kept of its webhook.
    """
    row = await queries.to_tell(on, job["id"])
    if row["status"] not in webhook["events"]:
        return False
    ended = summary_out(row).model_copy(update={"result": row["result"]})
    message = WebhookMessage.model_validate(
        {"type": f"job.{ended.status}", "timestamp": ended.finished_at, "data": ended}
    )
    await webhooks.enqueue(
        on,
        webhook,
        user_id=ended.user_id,
        job_id=ended.id,
        type_=message.type,
        body=message.model_dump_json(exclude={"data": NOT_TOLD}),
        now=row["finished_at"],
    )
    return True
