"""Problems of requests about workflows."""

from __future__ import annotations

from app.http.problems import NotFound


class WorkflowNotFound(NotFound):
    """The workflow does not exist, or the caller may not read it."""

    code = "workflow_not_found"
    detail = "There is no such workflow."


class VersionNotFound(NotFound):
    """The workflow has no such version."""

    code = "workflow_version_not_found"
    detail = "This workflow has no such version."
