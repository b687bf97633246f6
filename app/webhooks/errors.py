"""What can be wrong with a request about webhooks."""

from __future__ import annotations

from app.http.problems import NotFound


class DeliveryNotFound(NotFound):
    """No such delivery of this job, or not the caller's."""

    code = "delivery_not_found"
    detail = "The job has no such delivery."
