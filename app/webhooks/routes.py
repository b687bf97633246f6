"""OpenAPI descriptions of the webhooks that the service sends."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header

from processing_context.wire.webhooks import WebhookMessage

messages = APIRouter(tags=["webhooks"], generate_unique_id_function=lambda route: route.name)
"""Requests that the service sends to receivers of webhooks."""


@messages.post("job-ended", status_code=204, name="job_ended")
async def _job_ended(
    body: WebhookMessage,
    webhook_id: Annotated[str, Header(description="Id of the delivery, the same in each attempt.")],
    webhook_timestamp: Annotated[int, Header(description="Time of the attempt, in Unix seconds.")],
    webhook_signature: Annotated[
        str | None,
        Header(description="Signatures (Standard Webhooks v1), one for each secret."),
    ] = None,
) -> None:
    """Message about the end of a job, sent to its webhook.

    A 2xx response acknowledges it; 410 ends the delivery. After any other response or a timeout it
    is retried with increasing back-off for a day.
    """
