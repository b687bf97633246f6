"""Routes of the webhook deliveries of a job."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from app.http.auth import PrincipalDep
from app.http.dependencies import Injected
from app.http.routing import SecuredRoute
from app.jobs.service import JobService
from app.webhooks.service import WebhookService
from processing_context.wire.webhooks import WebhookDelivery, WebhookDeliveryList

router = APIRouter(prefix="/v1/jobs/{job_id}/webhooks", route_class=SecuredRoute, tags=["webhooks"])

Jobs = Annotated[JobService, Injected(JobService)]
Webhooks = Annotated[WebhookService, Injected(WebhookService)]


@router.get("")
async def list_webhook_deliveries(
    job_id: str, jobs: Jobs, webhooks: Webhooks, principal: PrincipalDep
) -> WebhookDeliveryList:
    """List the webhook deliveries of a job, newest first."""
    await jobs.state(principal.user_id, job_id)
    deliveries = await webhooks.of_job(principal.user_id, job_id)
    return WebhookDeliveryList(next=None, deliveries=deliveries)


@router.post("/{delivery_id}/redeliver", status_code=202)
async def redeliver_webhook(
    job_id: str, delivery_id: str, jobs: Jobs, webhooks: Webhooks, principal: PrincipalDep
) -> WebhookDelivery:
    """Deliver a webhook again now, with all attempts of a new delivery and the same id."""
    await jobs.state(principal.user_id, job_id)
    return await webhooks.redeliver(principal.user_id, job_id, delivery_id)
