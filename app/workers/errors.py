"""Problems of requests about workers."""

from __future__ import annotations

from app.http.problems import ObjectNotFound


class WorkerNotFound(ObjectNotFound):
    """The worker was removed, possibly as lost, or it belongs to another user."""

    code = "worker_not_found"
    noun = "Worker"
