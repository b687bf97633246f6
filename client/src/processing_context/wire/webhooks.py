"""Models of webhook messages and their deliveries."""

from __future__ import annotations

from typing import Literal

from processing_context.wire.base import Reply, Timestamp
from processing_context.wire.jobs import Job


class WebhookMessage(Reply):
    """The message posted to a job's webhook URL; `data` is the job without params and graph.

    `timestamp` is the time at which the job ended, not the time of the attempt.
    """

    type: Literal["job.completed", "job.failed", "job.cancelled"]
    timestamp: Timestamp
    data: Job


class WebhookAnswer(Reply):
    """The result of the last attempt: status and beginning of the body, or the error."""

    time: Timestamp
    status_code: int | None
    body: str | None
    error: str | None


class WebhookDelivery(Reply):
    """A message to one receiver; its id is the `webhook-id` header of every attempt."""

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
    """A page of the deliveries of a job, newest first."""

    next: str | None
    deliveries: list[WebhookDelivery]
