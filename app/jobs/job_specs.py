"""Conversion of requests to job specifications; validates the graph and the webhook."""

from __future__ import annotations

from collections.abc import Sequence

from app.catalogue.service import CatalogueService
from app.database.engine import dumps
from app.http.json_limits import check_metadata
from app.http.problems import ProblemError
from app.queue.new_job import JobSpec
from app.settings import Settings
from app.webhooks.service import WebhookService
from app.workflows.graphs import Graphs, InvalidGraph
from app.workflows.params import check_params
from app.workflows.service import WorkflowService
from processing_context.wire.jobs import RunJobRequest


class JobSpecs:
    """Creates job specifications from requests."""

    def __init__(
        self,
        workflows: WorkflowService,
        graphs: Graphs,
        catalogue: CatalogueService,
        webhooks: WebhookService,
        settings: Settings,
    ) -> None:
        self._workflows = workflows
        self._graphs = graphs
        self._catalogue = catalogue
        self._webhooks = webhooks
        self._max_metadata_bytes = settings.max_metadata_bytes

    async def resolve(self, user_id: str, request: RunJobRequest) -> JobSpec:
        """Return the specification of a job.

        Raises:
            WorkflowNotFound: The user may not read the workflow.
            InvalidGraph: The graph cannot be run.
            ValidationFailed: The params do not fit the graph.
            UrlNotAllowed: The service does not post to the URL of the webhook.
            MetadataTooLarge: The metadata is too large.
        """
        check_metadata("metadata", request.metadata, self._max_metadata_bytes)
        version = None
        if request.graph is not None:
            graph = request.graph
            text, node_types = await self._graphs.check(graph)
        else:
            workflow = await self._workflows.get(user_id, request.workflow_id or "")
            text, version = workflow.graph, workflow.version
            graph, node_types = await self._graphs.parse(text)
        found = await self._catalogue.check(user_id, graph, request.params)
        if found.errors.count:
            raise InvalidGraph.of(found.errors.first, found.errors.count)
        check_params(graph, request.params)
        webhook = request.webhook
        return JobSpec(
            workflow_id=request.workflow_id,
            workflow_version=version,
            job_type=request.job_type,
            name=request.name,
            metadata=dumps(request.metadata),
            params=dumps(request.params),
            graph=text,
            priority=request.priority,
            required_capabilities=sorted(set(request.required_capabilities)),
            node_types=node_types,
            timeout_s=request.timeout_s,
            max_attempts=request.max_attempts,
            webhook=await self._webhooks.accept(user_id, webhook) if webhook else None,
            run_at=request.run_at,
            warnings=[each.model_dump(exclude_none=True) for each in found.warnings.first] or None,
        )

    async def resolve_all(self, user_id: str, requests: Sequence[RunJobRequest]) -> list[JobSpec]:
        """Return the specifications of several jobs.

        Raises:
            ProblemError: `resolve` failed for one of them; the detail names its position.
        """
        specs = []
        for number, request in enumerate(requests):
            try:
                specs.append(await self.resolve(user_id, request))
            except ProblemError as problem:
                problem.detail = f"jobs.{number}: {problem.detail}"
                raise
        return specs
