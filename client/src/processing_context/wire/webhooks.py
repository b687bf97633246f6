"""Webhooks: what a receiver is sent, and what became of it."""

from __future__ import annotations

from typing import Literal

from processing_context.wire.base import Reply, Timestamp
from processing_context.wire.jobs import Job


class WebhookMessage(Reply):
    """What is posted to the URL of a job's `webhook`; `data` is the job without params and graph.

    `timestamp` is when the job ended, whenever the message is sent.
    """

    type: Literal["job.completed", "job.failed", "job.cancelled"]
    timestamp: Timestamp
    data: Job


class WebhookAnswer(Reply):
    """What came of the last attempt: a status and the beginning of a body, or why there is none."""

    time: Timestamp
    status_code: int | None
    body: str | None
    error: str | None


class WebhookDelivery(Reply):
    """A message to one receiver; its id is the `webhook-id` of every attempt."""

    id: str
    job_id: str
    type: str
    url: str
    status: Literal["pending", "delivered", "failed"]
    attempts: int
    next_attempt_at: Timestamp | None
    last_answer: WebhookAnswer | None
    created_at: Timestamp


class WebhookDeliveryList(Reply):
    """The deliveries of a job, newest first."""

    next: str | None
    deliveries: list[WebhookDelivery]
