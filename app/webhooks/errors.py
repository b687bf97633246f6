"""Problems of requests about webhooks."""

from __future__ import annotations

from app.http.problems import NotFound


class DeliveryNotFound(NotFound):
    """The job has no such delivery, or it is another user's."""

    code = "delivery_not_found"
    detail = "The job has no such delivery."
