"""Problems of requests about webhooks."""

from __future__ import annotations

from app.http.problems import ObjectNotFound


class DeliveryNotFound(ObjectNotFound):
    """The delivery does not exist, or belongs to another job or user."""

    code = "delivery_not_found"
    noun = "Webhook delivery"
