"""Problems of requests about workers."""

from __future__ import annotations

from app.http.problems import NotFound


class WorkerNotFound(NotFound):
    """The worker was deleted or removed as lost, or it is another user's."""

    code = "worker_not_found"
    detail = "There is no such worker: register again."
