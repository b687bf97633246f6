"""Service for the node catalogue: uploads, lists, retention, and checks of graphs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeAlias

from app.catalogue import queries
from app.catalogue.queries import CatalogueKey, ListedNodeType
from app.catalogue.uploads import read_catalogue
from app.catalogue.versions import NodeVersions
from app.database.engine import Database
from app.http.json_threads import JsonThreads, estimated_bytes
from app.http.pagination import decode_text_cursor, next_cursor
from app.runtime.ids import new_id
from app.settings import Settings
from processing_context.wire.catalogue_checks import CatalogueCheck
from processing_context.wire.editor_nodes import EDITOR_ONLY
from processing_context.wire.graph import Graph

WorkerNodes: TypeAlias = CatalogueKey
"""The hash of the descriptions of a worker's nodes, and the users that they count for."""


class CatalogueService:
    """The node catalogue as it counts for each user: of the user's workers and of fleet workers."""

    def __init__(
        self, db: Database, versions: NodeVersions, threads: JsonThreads, settings: Settings
    ) -> None:
        self._db = db
        self._threads = threads
        self._versions = versions
        self._kept = settings.max_catalogues_per_user
        self._retention_days = settings.catalogue_retention_days

    async def is_stored(self, worker: WorkerNodes) -> bool:
        """Return True if the descriptions of a worker's nodes are stored; they count as seen."""
        await self.mark_seen([worker])
        return await queries.exists(self._db.pool, worker)

    async def store(self, worker_id: str, worker: WorkerNodes, body: bytes) -> None:
        """Store the descriptions of a worker's nodes.

        Raises:
            Invalid: They are malformed, or do not have the hash that the worker registered.
        """
        types = await self._threads.run(
            len(body), read_catalogue, body, worker_id=worker_id, sha256=worker.sha256
        )
        async with self._db.transaction() as on:
            if await queries.insert(on, new_id(), worker, types):
                await queries.delete_oldest(on, worker.user_id, kept=self._kept)
        self._versions.changed(worker.user_id, is_fleet=worker.is_fleet)

    async def mark_seen(self, workers: Collection[WorkerNodes]) -> None:
        """Record that workers with these catalogues exist."""
        await queries.mark_seen(self._db.pool, workers)

    async def delete_unseen(self) -> None:
        """Delete the catalogues whose workers have been gone for the retention time."""
        await queries.delete_unseen(self._db.pool, days=self._retention_days)

    async def page(
        self,
        user_id: str,
        *,
        namespace: str | None,
        q: str | None,
        cursor: str | None,
        page_size: int,
    ) -> tuple[Sequence[ListedNodeType], str | None]:
        """Return a page of node types, in the order of their types, and the next cursor.

        Raises:
            InvalidCursor: The cursor is not one of this list.
        """
        listed = await queries.page(
            self._db.pool,
            user_id=user_id,
            namespace=namespace,
            q=q,
            after=decode_text_cursor(cursor) if cursor else None,
            size=page_size,
        )
        return listed.rows, next_cursor(listed, "type")

    async def check(
        self, user_id: str, graph: Graph, params: Collection[str] = ()
    ) -> CatalogueCheck:
        """Check a graph of valid structure by the catalogue.

        Args:
            user_id: The user that would run the graph.
            graph: The graph.
            params: The names of the job's params.
        """
        types = {node.type for node in graph.nodes} - EDITOR_ONLY
        versions = await self._versions.of(user_id, types)
        return await self._threads.run(
            estimated_bytes(graph), CatalogueCheck, graph, versions, params
        )
