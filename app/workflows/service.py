"""Service for workflows and their versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from app.catalogue.service import CatalogueService
from app.database.engine import Database
from app.database.statement import Connection
from app.http import etags, pagination
from app.http.idempotency.keys import IdempotencyKey
from app.http.json_limits import check_metadata
from app.http.pagination import InvalidCursor, Page, decode_cursor
from app.http.quotas import CountQuota
from app.runtime.ids import new_id
from app.settings import Settings
from app.workflows import queries
from app.workflows.errors import VersionNotFound, WorkflowNotFound
from app.workflows.graphs import Graphs
from app.workflows.queries import ListedWorkflow, VersionRecord, WorkflowRecord
from processing_context.wire.graph import Graph, GraphError
from processing_context.wire.workflows import GraphCheckResult, WorkflowCreate, WorkflowUpdate

EDITABLE = ("name", "description", "tags", "access", "graph", "settings", "thumbnail_url")
"""Fields that a user can edit; the ETag covers them."""

MAX_VERSION = 2**31 - 1


def etag(workflow: WorkflowRecord) -> str:
    """Return the ETag over the editable fields of a workflow."""
    return etags.etag_of(*(getattr(workflow, field) for field in EDITABLE))


class WorkflowService:
    """Operations on workflows, on behalf of a user."""

    def __init__(
        self, db: Database, graphs: Graphs, catalogue: CatalogueService, settings: Settings
    ) -> None:
        self._db = db
        self._graphs = graphs
        self._catalogue = catalogue
        self._max_metadata_bytes = settings.max_metadata_bytes
        self._quota = CountQuota(
            "workflows",
            settings.max_workflows_per_user,
            lambda user_id, limit: queries.count(db.pool, user_id, limit),
            remedy="delete workflows that are not needed.",
        )

    async def get(self, user_id: str, workflow_id: str) -> WorkflowRecord:
        """Return a workflow that the user owns or that is public.

        Raises:
            WorkflowNotFound: It does not exist, or is a private one of another user.
        """
        workflow = await queries.get_readable(self._db.pool, workflow_id, user_id=user_id)
        if workflow is None:
            raise WorkflowNotFound(workflow_id)
        return workflow

    async def parse(self, user_id: str, workflow: WorkflowRecord) -> tuple[Graph, list[GraphError]]:
        """Return the graph of a workflow, and its problems by the catalogue of the user's nodes."""
        graph = (await self._graphs.parse(workflow.graph)).graph
        found = await self._catalogue.check(user_id, graph)
        return graph, [*found.errors.first, *found.warnings.first]

    async def check(self, user_id: str, graph: Graph) -> GraphCheckResult:
        """Return the problems of a graph that is neither saved nor run.

        Raises:
            InvalidGraph: Its structure is invalid.
        """
        await self._graphs.check(graph)
        return (await self._catalogue.check(user_id, graph)).result

    async def page(
        self, user_id: str, page: Page, *, q: str | None, tag: str | None, access: str | None
    ) -> tuple[Sequence[ListedWorkflow], str | None]:
        """Return a page of workflows without their graphs, newest first, and the next cursor."""
        listed = await queries.page(
            self._db.pool,
            user_id=user_id,
            q=q,
            tag=tag,
            access=access,
            after=page.after,
            size=page.size,
        )
        return listed.rows, pagination.next_cursor(listed)

    async def create(
        self, user_id: str, request: WorkflowCreate, key: IdempotencyKey
    ) -> tuple[WorkflowRecord, bool]:
        """Create a workflow.

        Returns:
            The workflow, and whether an earlier request with the same key created it.

        Raises:
            InvalidGraph: The graph cannot be run.
            MetadataTooLarge: The settings are too large.
            QuotaExceeded: The user has too many workflows.
        """
        created = None
        if key.is_given:
            created = await key.begin(await self._graphs.fingerprint(request))
        if created is not None:
            return await self.get(user_id, created), True
        graph = await self._graphs.check(request.graph)
        check_metadata("settings", request.settings, self._max_metadata_bytes)
        await self._quota.check(user_id)
        values = request.model_dump(mode="json", exclude={"graph"}) | {"graph": graph.text}
        async with self._db.transaction() as on:
            workflow = await queries.insert(on, new_id(), user_id, **values)
            await key.complete(on, workflow.id)
        return workflow, False

    async def update(
        self,
        user_id: str,
        workflow_id: str,
        request: WorkflowCreate | WorkflowUpdate,
        *,
        if_match: str | None,
    ) -> WorkflowRecord:
        """Change the given fields (of a `WorkflowCreate`: all); a change adds a version.

        Raises:
            WorkflowNotFound: It does not exist, or belongs to another user.
            PreconditionFailed: Its ETag is not in `if_match`.
            InvalidGraph: The new graph cannot be run.
            MetadataTooLarge: The new settings are too large.
        """
        async with self._db.transaction() as on:
            workflow = await _lock(on, user_id, workflow_id)
            etags.check_if_match(if_match, etag(workflow))
            current = _values(workflow)
            values = current | await self._given(request)
            if values == current:
                return workflow
            if values["settings"] != current["settings"]:
                check_metadata("settings", values["settings"], self._max_metadata_bytes)
            return await queries.update(on, workflow_id, **values)

    async def _given(self, request: WorkflowCreate | WorkflowUpdate) -> dict[str, Any]:
        """Return the fields to change; of a `WorkflowCreate`: all."""
        fields = request.model_fields_set
        if isinstance(request, WorkflowCreate):
            fields = set(WorkflowCreate.model_fields)
        given = request.model_dump(mode="json", include=fields - {"graph"})
        if request.graph is not None:
            given["graph"] = (await self._graphs.check(request.graph)).text
        return given

    async def delete(self, user_id: str, workflow_id: str, *, if_match: str | None) -> None:
        """Delete a workflow and its versions; jobs that ran it keep their copy of the graph.

        Raises:
            WorkflowNotFound: It does not exist, or belongs to another user.
            PreconditionFailed: Its ETag is not in `if_match`.
        """
        async with self._db.transaction() as on:
            workflow = await _lock(on, user_id, workflow_id)
            etags.check_if_match(if_match, etag(workflow))
            await queries.delete(on, workflow_id)

    async def version(self, user_id: str, workflow_id: str, number: int) -> VersionRecord:
        """Return one version.

        Raises:
            WorkflowNotFound: The user may not read the workflow.
            VersionNotFound: The workflow does not have this version.
        """
        await self.get(user_id, workflow_id)
        version = None
        if 0 < number <= MAX_VERSION:
            version = await queries.version(self._db.pool, workflow_id, number)
        if version is None:
            raise VersionNotFound(workflow_id, number)
        return version

    async def versions(
        self, user_id: str, workflow_id: str, *, page_size: int, cursor: str | None
    ) -> tuple[Sequence[VersionRecord], str | None]:
        """Return a page of versions, newest first, and the next cursor.

        Raises:
            WorkflowNotFound: The user may not read the workflow.
            InvalidCursor: The cursor is not one of this list.
        """
        await self.get(user_id, workflow_id)
        before = _version_cursor(cursor) if cursor else None
        listed = await queries.versions(self._db.pool, workflow_id, before=before, size=page_size)
        return listed.rows, pagination.next_cursor(listed, "version")


async def _lock(on: Connection, user_id: str, workflow_id: str) -> WorkflowRecord:
    workflow = await queries.lock_own(on, workflow_id, user_id=user_id)
    if workflow is None:
        raise WorkflowNotFound(workflow_id)
    return workflow


def _values(workflow: WorkflowRecord) -> dict[str, Any]:
    """Return the editable fields of a workflow, with parsed settings; the graph is JSON text."""
    values = {field: getattr(workflow, field) for field in EDITABLE}
    return {**values, "settings": orjson.loads(workflow.settings)}


def _version_cursor(cursor: str) -> int:
    version = pagination.whole_number(decode_cursor(cursor))
    if version is None or version > MAX_VERSION:
        raise InvalidCursor
    return version
