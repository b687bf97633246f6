"""Descriptions of the requests that the service sends."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header

from processing_context.wire.webhooks import WebhookMessage

messages = APIRouter(tags=["webhooks"], generate_unique_id_function=lambda route: route.name)
"""Requests that the service sends; their receivers serve them."""


@messages.post("job-ended", status_code=204, name="job_ended")
async def _job_ended(
    body: WebhookMessage,
    webhook_id: Annotated[str, Header(description="The same at every attempt.")],
    webhook_timestamp: Annotated[int, Header(description="Of the attempt, in Unix seconds.")],
    webhook_signature: Annotated[
        str | None,
        Header(description="By Standard Webhooks (v1); one for each secret of the webhook."),
    ] = None,
) -> None:
    """A job has ended: sent to its webhook.

    Any 2xx says that it has come; 410, that no more of it is wanted. Anything else, or no answer in
    time, and it is sent again, with growing pauses, for a day.
    """
