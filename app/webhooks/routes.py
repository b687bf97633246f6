"""Routes of webhooks: what became of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request

from app.http.auth import PrincipalDep, SecuredRoute
from app.jobs.dependencies import JobsDep
from app.webhooks.service import Webhooks
from processing_context.wire.webhooks import (
    WebhookDelivery,
    WebhookDeliveryList,
    WebhookMessage,
)

router = APIRouter(prefix="/v1/jobs/{job_id}/webhooks", route_class=SecuredRoute, tags=["webhooks"])


async def _webhooks(request: Request) -> Webhooks:
    webhooks: Webhooks = request.app.state.webhooks
    return webhooks


messages = APIRouter(tags=["webhooks"], generate_unique_id_function=lambda route: route.name)
"""What the service sends: described here, served by whoever receives it."""


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


WebhooksDep = Annotated[Webhooks, Depends(_webhooks)]


@router.get("")
async def list_webhook_deliveries(
    job_id: str, jobs: JobsDep, webhooks: WebhooksDep, principal: PrincipalDep
) -> WebhookDeliveryList:
    """List what was told, or is to be told, of a job, newest first."""
    await jobs.state(principal.user_id, job_id)
    deliveries = await webhooks.of_job(principal.user_id, job_id)
    return WebhookDeliveryList(next=None, deliveries=deliveries)


@router.post("/{delivery_id}/redeliver", status_code=202)
async def redeliver_webhook(
    job_id: str, delivery_id: str, jobs: JobsDep, webhooks: WebhooksDep, principal: PrincipalDep
) -> WebhookDelivery:
    """Deliver again now, with all the attempts that a new one has; its id stays the same."""
    await jobs.state(principal.user_id, job_id)
    return await webhooks.redeliver(principal.user_id, job_id, delivery_id)
