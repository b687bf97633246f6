"""Problems of requests about workflows."""

from __future__ import annotations

from app.http.problems import NotFound, ObjectNotFound


class WorkflowNotFound(ObjectNotFound):
    """The workflow does not exist, or the caller may not read it."""

    code = "workflow_not_found"
    noun = "Workflow"


class VersionNotFound(NotFound):
    """The version of the workflow does not exist."""

    code = "workflow_version_not_found"

    def __init__(self, workflow_id: str, number: int) -> None:
        super().__init__(f"Version {number} of workflow {workflow_id} was not found.")
